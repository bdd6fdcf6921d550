"""Checkpoints of other code bases -> our networks, and back.

What is known about an origin stands in its module (see ``origins``); this file does the rest. A
wrapper's prefix before all names is found here and taken off.
"""

import mxnet as mx
import numpy as np

from ..errors import UsageError
from . import origins
from .shapes import WRAPPERS


def from_original(system, build, state):
    """The network that an original's checkpoint belongs to, in inference mode.

    Args:
        system: the code base, one of ``origins.SYSTEMS``.
        build: mapping, the constructor facts in the original's words ("network" names the class).
        state: mapping, the original's entry names -> arrays.

    Raises:
        UsageError: unknown system, network or option; entries missing, left over or of the wrong
            shape, with their names.
    """
    origin = origins.get(system, origins.SYSTEMS)
    net = origin.create(build)
    names = origin.original_names(net, build)
    parameters = net._collect_params_with_prefix()
    in_file = _names_in_file(origin, net, build, names, state)
    state = {standard: state[name] for standard, name in in_file.items()}
    _check_entries(system, build, parameters, names, state, origin.unused(build, set(state)))
    for ours, parameter in parameters.items():
        value = np.asarray(state[names[ours]], dtype=np.float32).reshape(parameter.shape)
        parameter._load_init(mx.nd.array(value), mx.cpu())
    net.original_names = {system: {ours: in_file[name] for ours, name in names.items()}}
    return net


def create(system, build):
    """The network of :func:`from_original`, its parameters empty."""
    return origins.get(system, origins.SYSTEMS).create(build)


def original_names(system, build, net):
    """{our name: the original's} of every parameter."""
    return origins.get(system, origins.SYSTEMS).original_names(net, build)


def load_fitting(system, build, net, state):
    """Give ``net`` those entries of ``state`` that fit by name and shape; the rest stays.

    That is how SANet and PIDNet start from ImageNet: from files of the whole network, made for 1000
    classes and without the auxiliary heads.

    Args:
        net: an initialised network of ours, as ``from_original(system, build, ...)`` makes it.

    Returns:
        The names of the entries that were used, in the file's order.

    Raises:
        UsageError: unknown system, or nothing fits.
    """
    origin = origins.get(system, origins.SYSTEMS)
    names = origin.original_names(net, build)
    in_file = _names_in_file(origin, net, build, names, state)
    used = set()
    for ours, parameter in net._collect_params_with_prefix().items():
        name = in_file.get(names[ours])
        if name is not None and np.shape(state[name]) == parameter.shape:
            parameter.set_data(mx.nd.array(np.asarray(state[name], dtype=np.float32)))
            used.add(name)
    if not used:
        raise UsageError(f"Not one entry of this checkpoint fits the network ({system}).")
    return [name for name in state if name in used]


def to_original(system, build, net):
    """The exact inverse of :func:`from_original`: the original's names -> float32 arrays.

    Entries that the network does not use are left out. A network that came from a file of this
    system gets that file's names, with a wrapper's prefix if it had one.
    """
    origin = origins.get(system, origins.SYSTEMS)
    names = getattr(net, "original_names", {}).get(system) or origin.original_names(net, build)
    out = {}
    for ours, parameter in net._collect_params_with_prefix().items():
        out[names[ours]] = parameter.data(parameter.list_ctx()[0]).asnumpy()
    return out


def _names_in_file(origin, net, build, names, state):
    """{standard name: name in ``state``} of all entries."""
    wanted = set(names.values())

    def known(prefix):
        return sum(prefix + name in state for name in wanted)

    prefix = max(("", *WRAPPERS), key=known)  # the first of equals
    out = {}
    for name in state:
        bare = name[len(prefix) :] if name.startswith(prefix) else name
        out[name if prefix and bare in state else bare] = name
    if hasattr(origin, "renamed"):
        renamed = origin.renamed(net, build, {n: state[name] for n, name in out.items()})
        out = {renamed.get(n, n): name for n, name in out.items()}
    return out


def _check_entries(system, build, parameters, names, state, unused):
    wanted = {names[ours]: p for ours, p in parameters.items()}
    missing = [n for n in wanted if n not in state]
    surplus = [n for n in state if n not in wanted and n not in unused]
    wrong = [
        f"{n} is {tuple(np.shape(state[n]))}, expected {p.shape}"
        for n, p in wanted.items()
        if n in state and not _same_shape(np.shape(state[n]), p.shape)
    ]
    found = [
        f"{len(items)} {what} ({', '.join(items[:3])}{', ...' if len(items) > 3 else ''})"
        for what, items in (("missing", missing), ("left over", surplus), ("of wrong shape", wrong))
        if items
    ]
    if found:
        raise UsageError(
            f"This is not a checkpoint of {build.get('network', 'the network')} ({system}) as "
            f"described by its build options: entries {'; '.join(found)}."
        )


def _same_shape(theirs, ours):
    """Equal but for axes of length 1: a 1 x 1 convolution may be a dense layer elsewhere."""
    return [n for n in theirs if n != 1] == [n for n in ours if n != 1]
