"""Checkpoints of liux520/PMSDSEN."""

from .. import models
from ..registry import unknown
from . import pytorch

TITLE = "PMSDSEN"
SIGNS = ("Stem_Conv.0.weight",)
HOMES = {"pmsdsen": ""}
DATA_OPTIONS = {11: {"classes": "leading", "order": "sanet"}}  # CamVid: as SANet

# the original's names of activations -> ours
ACTIVATIONS = {
    "relu": "relu",
    "selu": "selu",
    "prelu": "prelu",
    "lrelu": "leaky",
    "relu6": "relu6",
    "h_swish": "hard_swish",
    "gelu": "gelu",
}


def _pmsdsen(cls=19, act_name="gelu"):
    if act_name not in ACTIVATIONS:
        raise unknown("activation of PMSDSEN", act_name, ACTIVATIONS)
    return models.create("pmsdsen", cls, initialize=False, act=ACTIVATIONS[act_name])


NETWORKS = {"pmsdsen": _pmsdsen}


def create(build):
    """Our PMSDSEN for the constructor facts of the original's."""
    return pytorch.create(TITLE, NETWORKS, {"network": "pmsdsen", **build})


def original_names(net, build):
    """{our name: the original's}."""
    return pytorch.original_names(net)


def renamed(net, build, state):
    """The slopes (act_name prelu) behind a unit's sum and in the up blocks, by whatever name."""
    return slopes_by_place(set(original_names(net, build).values()), state)


def slopes_by_place(standard, state):
    """{name in the file: standard name} of slopes whose names the card does not give.

    Each of their modules has one such entry: one dimension, and a name that no other entry has.
    """
    out = {}
    for name in standard - set(state):
        module, _, leaf = name.rpartition(".act.")
        if module and leaf == "weight":
            found = [
                n
                for n in state
                if n.startswith(f"{module}.") and n.endswith(".weight")
                if n not in standard and len(state[n].shape) == 1
            ]
            if len(found) == 1:
                out[found[0]] = name
    return out


def unused(build, names):
    """Nothing but the counters."""
    return pytorch.counters(names)


def guess(given, shapes):
    """See ``origins``."""
    shown = {"cls": shapes["seg_head_x2.3.weight"][0]}
    if "Stem_Conv.2.weight" in shapes:
        shown["act_name"] = "prelu"
    return shown
