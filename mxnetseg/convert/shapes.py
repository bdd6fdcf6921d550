"""What guesses are made from: the names and shapes of a file's entries."""

import re

from ..errors import UsageError
from ..registry import unknown

WRAPPERS = ("module.model.", "module.", "model.")
"""What wrappers put before a network's names."""


class Absent(Exception):
    """An entry that every file of the origin has is not there."""


class Shapes(dict):
    """{name: shape}; says which entry is missing."""

    def __missing__(self, name):
        raise Absent(name)

    def has(self, prefix):
        """Whether an entry's name starts so."""
        return any(name.startswith(prefix) for name in self)

    def count(self, prefix):
        """How many blocks ``prefix0.``, ``prefix1.`` ... there are."""
        pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
        return len({m.group(1) for m in map(pattern.match, self) if m})


def bare(name):
    """The name without what a wrapper put before it."""
    prefix = next((p for p in WRAPPERS if name.startswith(p)), "")
    return name[len(prefix) :]


def ask(option, why, candidates):
    """The error for an option that must be named."""
    return UsageError(
        f"The file does not show '{option}' ({why}): name it with --build "
        f"'{{\"{option}\": ...}}'. Candidates: {', '.join(map(str, candidates))}."
    )


def named_network(build, known, title):
    """The network that somebody named, or None; UsageError if it is not ``known``."""
    network = build.get("network")
    if network is not None and network not in known:
        raise unknown(f"network of {title}", network, known)
    return network
