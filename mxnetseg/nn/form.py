"""Whether layers are traced as they train best, or as one operator each.

Some layers are composed from several operators, because MXNet 1.9.1's own operator is slow or wrong
backwards, or reads its sizes too early. A graph that others will run or count is better off with
the operator: it says what is meant.
"""

import contextlib
from contextvars import ContextVar

_whole = ContextVar("whole_operators", default=False)


@contextlib.contextmanager
def whole_operators():
    """Within: a layer becomes one operator where MXNet has one. For graphs that only run forward.

    The results are the same but for rounding.
    """
    token = _whole.set(True)
    try:
        yield
    finally:
        _whole.reset(token)


def takes_operator():
    """Whether a layer shall become its one operator."""
    return _whole.get()
