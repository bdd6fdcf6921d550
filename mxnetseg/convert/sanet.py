"""Checkpoints of CuZaoo/SANet-main (SANet).

Published segmentation files are the state of its training wrapper: ``model.`` before every name
(build option ``wrapper``; found in the file too), and the class weights of the loss beside them.
"""

import re

from .. import models
from ..models.sanet import VARIANTS
from . import pytorch

TITLE = "SANet"
SIGNS = ("stom.0.weight",)
HOMES = {"sanet": ""}
DATA_OPTIONS = {11: {"classes": "leading", "order": "sanet"}}  # CamVid

# Never called in the original, but saved: left over from PIDNet, and the ImageNet classifier.
_DEAD = re.compile(
    r"(model\.)?((spp\.process[1-4]|seghead_d2|classifier|fc)\.|sem_loss\.criterion\.weight$)"
)


def _sanet(
    num_classes=19,
    variant="S",
    layers=None,
    planes=32,
    spp_planes=128,
    head_planes=64,
    augment=True,
    wrapper=False,
):
    return models.create(
        "sanet",
        num_classes,
        initialize=False,
        variant=variant,
        aux=augment,
        layers=layers,
        planes=planes,
        spp_planes=spp_planes,
        head_planes=head_planes,
    )


NETWORKS = {"SANet": _sanet}


def create(build):
    """Our SANet for the constructor facts of the original's."""
    return pytorch.create(TITLE, NETWORKS, {"network": "SANet", **build})


def original_names(net, build):
    """{our name: the original's}."""
    return pytorch.original_names(net, "model." if build.get("wrapper") else "")


def unused(build, names):
    """The counters, the parts that are never called, and the weights of the loss."""
    return pytorch.counters(names) | {n for n in names if _DEAD.match(n)}


def guess(given, shapes):
    """See ``origins``."""
    depths = [shapes.count(f"layer{k}.") for k in (1, 2, 4, 5)]
    if shapes.count("dp1.conv.") == 5:
        variant = "L"
    else:
        variant = "M" if depths == list(VARIANTS["M"][0]) else "S"
    return {
        "num_classes": shapes["final_layer.conv2.weight"][0],
        "variant": variant,
        "layers": depths,
        "planes": shapes["stom.0.weight"][0],
        "spp_planes": shapes["spp.scale0.2.weight"][0],
        "head_planes": shapes["final_layer.conv1.weight"][0],
        "augment": shapes.has("seghead_extra."),
    }
