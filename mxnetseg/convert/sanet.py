"""Checkpoints of CuZaoo/SANet-main (SANet).

Published segmentation files are the state of its training wrapper: ``model.`` before every name
(build option ``wrapper``; found in the file too), and the class weights of the loss beside them.
"""

import re

from .. import models
from . import pytorch

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


def create(build):
    """Our SANet for the constructor facts of the original's."""
    return pytorch.create("SANet-main", {"SANet": _sanet}, {"network": "SANet", **build})


def original_names(net, build):
    """{our name: the original's}."""
    return pytorch.original_names(net, "model." if build.get("wrapper") else "")


def unused(build, names):
    """The counters, the parts that are never called, and the weights of the loss."""
    return pytorch.counters(names) | {n for n in names if _DEAD.match(n)}
