"""Checkpoints of XuJiacong/PIDNet.

Published segmentation files are the state of its training wrapper: ``model.`` before every name
(build option ``wrapper``; found in the file too), and the class weights of the loss beside them.
"""

from .. import models
from ..models.pidnet import VARIANTS
from ..registry import unknown
from . import pytorch


def _pidnet(
    num_classes=19,
    variant="s",
    m=None,
    n=None,
    planes=None,
    ppm_planes=None,
    head_planes=None,
    augment=True,
    wrapper=False,
):
    if str(variant).upper() not in VARIANTS:
        raise unknown("variant of PIDNet", variant, [v.lower() for v in VARIANTS])
    own = VARIANTS[str(variant).upper()][0]
    return models.create(
        "pidnet",
        num_classes,
        initialize=False,
        variant=variant,
        aux=augment,
        depths=(m or own[0], n or own[1]),
        planes=planes,
        ppm_planes=ppm_planes,
        head_planes=head_planes,
    )


def create(build):
    """Our PIDNet for the constructor facts of the original's."""
    return pytorch.create("PIDNet", {"PIDNet": _pidnet}, {"network": "PIDNet", **build})


def original_names(net, build):
    """{our name: the original's}."""
    return pytorch.original_names(net, "model." if build.get("wrapper") else "")


def unused(build, names):
    """The counters and the class weights of the wrapper's loss."""
    return pytorch.counters(names) | {"sem_loss.criterion.weight"}
