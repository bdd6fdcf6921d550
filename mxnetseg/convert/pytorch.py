"""What the checkpoints of all PyTorch code bases have in common.

PyTorch's norms call their entries ``weight``, ``bias``, ``running_mean``, ``running_var`` and
``num_batches_tracked`` (a counter, without influence); Gluon's call them ``gamma``, ``beta``,
``running_mean`` and ``running_var``. PReLU's slopes are ``weight`` there, ``alpha`` here. All other
entries have the same name and shape in both.
"""

import inspect

from ..errors import UsageError
from ..registry import check_options, unknown

_LEAVES = {"gamma": "weight", "beta": "bias", "alpha": "weight"}  # alpha: PReLU
_BACKBONE = "backbone."


def create(system, networks, build):
    """The network of ``networks[build["network"]](**the other build options)``.

    Args:
        system: the code base's name, for messages.
        networks: class name -> function of the build options that returns our network; its
            signature says which options there are, and its defaults are the original's.

    Raises:
        UsageError: unknown network or option (with near matches), or a missing one.
    """
    network = build.get("network")
    if network not in networks:
        raise unknown(f"network of {system}", network, networks)
    options = {k: v for k, v in build.items() if k != "network"}
    check_options(f"{system}'s {network}", networks[network], options)
    for name, parameter in inspect.signature(networks[network]).parameters.items():
        if parameter.default is parameter.empty and name not in options:
            raise UsageError(f"The build options of {network} lack '{name}'.")
    return networks[network](**options)


def original_names(net, prefix=""):
    """{our name: PyTorch's} of every parameter: ``gamma`` -> ``weight``, ``beta`` -> ``bias``.

    The backbone's parts stand at PyTorch's top level. ``prefix`` is put before every name.
    """
    out = {}
    for name in net._collect_params_with_prefix():
        theirs = name[len(_BACKBONE) :] if name.startswith(_BACKBONE) else name
        path, _, leaf = theirs.rpartition(".")
        out[name] = prefix + (f"{path}." if path else "") + _LEAVES.get(leaf, leaf)
    return out


def counters(names):
    """Those of ``names`` that count the batches a norm has seen: never used."""
    return {n for n in names if n == "num_batches_tracked" or n.endswith(".num_batches_tracked")}
