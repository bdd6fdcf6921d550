"""The build options of a checkpoint, as far as its names and shapes show them.

What neither shows nor has a published default is asked for by name.
"""

import inspect

from ..errors import UsageError
from ..registry import unknown
from . import origins
from .shapes import Absent, Shapes, bare

_QUIET = ("dropout", "drop", "embed_drop", "att_drop", "pretrained", "wrapper")  # no influence


def complete(system, build, state):
    """``build`` with all that the file shows.

    Args:
        system: a code base, one of ``origins.CODE_BASES``.
        build: the constructor facts that somebody named.
        state: {name: array}.

    Returns:
        The options that make the network; those of them that the file showed; those that neither
        the file nor ``build`` names: {option: the original's default}.

    Raises:
        UsageError: not a checkpoint of ``system``; an option that must be named, with candidates.
    """
    origin = origins.get(system, origins.CODE_BASES)
    known = _options(origin)
    for option in build:
        if option not in known:
            raise unknown(f"build option of {origin.TITLE}", option, known)
    shapes = shapes_of(state)
    try:
        shown = origin.guess(build, shapes)
    except (Absent, IndexError) as error:
        missing = f" (it has no entry '{error}')" if isinstance(error, Absent) else ""
        raise UsageError(
            f"This is no checkpoint of {origin.TITLE}{missing}.{hint(system, shapes)}"
        ) from None
    shown = {k: v for k, v in shown.items() if k not in build or k == "encoder"}
    if "wrapper" in known and any(name.startswith(("model.", "module.model.")) for name in state):
        shown["wrapper"] = True
    chosen = {**build, **shown}
    return chosen, shown, _assumed(origin, chosen)


def shapes_of(state):
    """The names, without what a wrapper put before them, and the shapes of a file's entries."""
    return Shapes((bare(name), tuple(value.shape)) for name, value in state.items())


def hint(system, shapes):
    """The end of an error: whose file it is, if not that of ``system``; "" if nobody's."""
    for name in origins.NAMES:
        origin = origins.get(name)
        if name != system and any(sign in shapes for sign in origin.SIGNS):
            return f" It looks like one of {origin.TITLE}: --from {name}."
    return ""


def _options(origin):
    """All build options of the origin's networks."""
    named = {p for f in origin.NETWORKS.values() for p in inspect.signature(f).parameters}
    return sorted({"network", *named, *getattr(origin, "IGNORED", ())})


def _assumed(origin, build):
    """{option: default} of what ``build`` leaves open."""
    function = origin.NETWORKS.get(build.get("network")) or next(iter(origin.NETWORKS.values()))
    return {
        name: p.default
        for name, p in inspect.signature(function).parameters.items()
        if name not in build and name not in _QUIET and p.default not in (p.empty, None)
    }
