"""Ways to damage a YAML text, and values that a hostile or careless hand may put into one."""

VALUES = (
    "!!python/object/apply:os.system ['touch {canary}']",
    "!!python/object/apply:subprocess.check_output [[touch, '{canary}']]",
    "!!python/object/new:os.system ['touch {canary}']",
    "!!python/name:os.system ''",
    "!!python/module:os ''",
    "!!python/object/apply:eval [\"open('{canary}', 'w')\"]",
    "!!python/tuple [1, 2]",
    "!!binary 'no base 64!'",
    "!!binary YWJj",
    "!!set {{a, b}}",
    "!!omap [a: 1, b: 2]",
    "!!int ''",
    "!!int abc",
    "!!float ''",
    "!!timestamp b",
    "!!bool maybe",
    "&loop [*loop]",
    "&loop {{a: *loop}}",
    "*nobody",
    "2001-13-45",
    "2001-01-01 25:61:61",
    "0b_",
    "0x",
    "1e999",
    "-.inf",
    ".nan",
    "9" * 5000,
    "1:2:3:4:5:6:7:8:9",
    "null",
    "yes",
    "[]",
    "{{}}",
    "[[[]]]",
    "''",
    '"\\0"',
    "'../../../../etc/passwd'",
    "{nested_list}",
    "{nested_map}",
    "{laughs}",
    "-1",
    "0",
    "3.7",
    "[1, two, 3.0]",
    "a: b: c",
    "'" + "x" * 20000 + "'",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
)


def hostile(rng, canary):
    """One of :data:`VALUES`."""
    depth = int(rng.integers(10, 3000))
    laughs = "[&l0 [1, 1]" + "".join(
        f", &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)
    )
    return VALUES[rng.integers(len(VALUES))].format(
        canary=canary,
        nested_list="[" * depth + "]" * depth,
        nested_map="{a: " * depth + "1" + "}" * depth,
        laughs=laughs + "]",
    )


def damage(rng, text, others, canary):
    """A text that differs from ``text`` in one of many ways."""
    lines = text.split("\n")
    place = int(rng.integers(len(lines)))
    other = others[rng.integers(len(others))].split("\n")
    kind = int(rng.integers(10))
    if kind < 4 and ":" in lines[place]:
        key = lines[place].split(":")[0]
        lines[place] = f"{key}: {hostile(rng, canary)}"
    elif kind == 4:
        lines.insert(place, hostile(rng, canary))
    elif kind == 5:
        del lines[place]
    elif kind == 6:
        lines.insert(place, lines[int(rng.integers(len(lines)))])
    elif kind == 7:
        lines[place:place] = other[: int(rng.integers(1, 8))]
    elif kind == 8:
        lines[place] = " " * int(rng.integers(0, 5)) + lines[place].lstrip() + "\t"
    else:
        characters = list("\n".join(lines))
        for _ in range(int(rng.integers(1, 10))):
            at = int(rng.integers(len(characters)))
            characters[at] = chr(int(rng.integers(1, 0x250)))
        return "".join(characters)
    return "\n".join(lines)
