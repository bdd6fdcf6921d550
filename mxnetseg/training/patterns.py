"""Parameters by patterns of their names."""

import fnmatch

from ..errors import UsageError


def matching(names, pattern, key):
    """The names that fit a pattern (``backbone.*``), at least one.

    Args:
        key: of the experiment, for the error.
    """
    names = list(names)
    found = fnmatch.filter(names, pattern)
    if not found:
        raise UsageError(
            f"{key}: no parameter is called {pattern}. They are called "
            f"{', '.join(names[:2])} ..., {names[-1]}."
        )
    return found
