"""Tables in plain text."""


def counted(number, what):
    """As "1 image", "2 images"."""
    return f"{number} {what}{'s' * (number != 1)}"


def aligned(rows, right):
    """Lines of columns, the last ``right`` of them flush right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    left = len(widths) - right
    for row in rows:
        cells = [c.ljust(w) for c, w in zip(row[:left], widths)]
        cells += [c.rjust(w) for c, w in zip(row[left:], widths[left:])]
        yield "  ".join(cells).rstrip()
