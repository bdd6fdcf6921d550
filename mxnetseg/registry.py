"""Name -> thing, with near matches in the error."""

import difflib
import inspect

from .errors import UsageError


def unknown(kind, name, known):
    """The error for an unknown name: says what is known, nearest first."""
    lower = {k.lower(): k for k in known}
    near = difflib.get_close_matches(str(name).lower(), list(lower), n=3, cutoff=0.6)
    near = [lower[k] for k in near]
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(sorted(known))}."
    return UsageError(f"Unknown {kind} '{name}'. {hint}")


def check_options(kind, function, options, exclude=()):
    """Raise UsageError if ``options`` holds a name that ``function`` does not take."""
    known = [p for p in inspect.signature(function).parameters if p not in ("self", *exclude)]
    for option in options:
        if option not in known:
            raise unknown(f"option of {kind}", option, known)


class Registry:
    """Things of one kind by name. Names are matched without regard to case."""

    def __init__(self, kind):
        self.kind = kind
        self._things = {}

    def register(self, name):
        """Decorator: ``@registry.register("fcn")``."""

        def add(thing):
            if name in self._things:
                raise KeyError(f"{self.kind} '{name}' is registered twice")
            self._things[name] = thing
            return thing

        return add

    def get(self, name):
        """The thing called ``name``; UsageError with near matches if there is none."""
        key = str(name).lower()
        if key not in self._things:
            raise unknown(self.kind, name, self.names())
        return self._things[key]

    def names(self):
        """All names, in order."""
        return sorted(self._things)
