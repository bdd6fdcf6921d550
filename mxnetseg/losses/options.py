"""Options of losses: what they may be, and the sentence that says so."""

import contextlib
import math
from numbers import Real

from ..errors import UsageError


def number(loss, option, value, low=-math.inf, high=math.inf, ends=(True, True), what="a number"):
    """``value`` as a float, if it is a number of the range.

    Args:
        loss: its name, for the error.
        ends: whether the lower and the upper end belong to the range.
        what: it is, for the error.

    Raises:
        UsageError: it is not.
    """
    given = value
    if isinstance(value, str):  # YAML reads 1e-3 as a text
        with contextlib.suppress(ValueError):
            value = float(value)
    good = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    good = good and (value >= low if ends[0] else value > low)
    good = good and (value <= high if ends[1] else value < high)
    if not good:
        limits = [f"{'at least' if ends[0] else 'above'} {low:g}"] if low > -math.inf else []
        if high < math.inf:
            limits.append(f"{'at most' if ends[1] else 'below'} {high:g}")
        raise _wrong(loss, option, given, f"{what} {' and '.join(limits)}".strip())
    return float(value)


def count(loss, option, value):
    """``value``, if it is a whole number and not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong(loss, option, value, "a whole number, at least 0")
    return value


def switch(loss, option, value):
    """``value``, if it is true or false."""
    if not isinstance(value, bool):
        raise _wrong(loss, option, value, "true or false")
    return value


def choice(loss, option, value, allowed):
    """``value``, if it is one of those allowed."""
    if value not in allowed:
        raise _wrong(loss, option, value, " or ".join(map(str, allowed)))
    return value


def _wrong(loss, option, value, what):
    return UsageError(f"Option '{option}' of loss '{loss}' is {what}, not {value!r}.")
