"""YAML as plain data: mappings, lists, texts and numbers, and nothing that runs or never ends."""

import yaml

from .errors import UsageError

MAX_DEPTH = 50
MAX_VALUES = 1_000_000
"""How many values a text may have when its aliases are written out."""


def read(path, what=""):
    """The content of a YAML file.

    Args:
        what: of the file, for the error: "The configuration ".

    Raises:
        UsageError: the file cannot be read, or :func:`parse` refuses it.
    """
    try:
        with open(str(path), encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise UsageError(f"{what}{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{what}{path} is no text in UTF-8.") from None
    return parse(text, f"{what}{path}")


def parse(text, name):
    """The content of a YAML text; ``name`` is what errors call it.

    Raises:
        UsageError: it is not valid YAML, has a tag beyond plain data, is nested deeper than
            :data:`MAX_DEPTH` (an alias that contains itself: endlessly), or is too large.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{name}{where} is not valid YAML; correct or quote that line.") from None
    except RecursionError:
        raise _too_deep(name) from None
    except Exception as error:  # of values that look like a date or a number: 2001-13-45, 0b_
        raise UsageError(
            f"{name} has a value that YAML cannot read ({str(error)[:80]}); put it in quotes."
        ) from None
    _Measure(name).size_of(content, 0)
    return content


def _too_deep(name):
    return UsageError(
        f"{name} is nested more than {MAX_DEPTH} levels deep, or contains itself through an "
        "alias; write it out."
    )


class _Measure:
    """Counts values with aliases written out, in the time of those that are there."""

    def __init__(self, name):
        self.name, self.sizes = name, {}

    def size_of(self, value, depth):
        """The number of values in ``value``, itself included."""
        if not isinstance(value, (dict, list)):
            return 1
        if depth > MAX_DEPTH:
            raise _too_deep(self.name)
        size = self.sizes.get(id(value))
        if size is None:
            parts = value.values() if isinstance(value, dict) else value
            size = 1 + sum(self.size_of(part, depth + 1) for part in parts)
            self.sizes[id(value)] = size
        if size > MAX_VALUES:
            raise UsageError(f"{self.name} repeats its aliases too often; write it out.")
        return size
