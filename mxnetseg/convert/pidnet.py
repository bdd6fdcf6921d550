"""Checkpoints of XuJiacong/PIDNet.

Published segmentation files are the state of its training wrapper: ``model.`` before every name
(build option ``wrapper``; found in the file too), and the class weights of the loss beside them.
"""

from .. import models
from ..models.pidnet import VARIANTS
from ..registry import unknown
from . import pytorch

TITLE = "PIDNet"
SIGNS = ("pag3.f_x.0.weight",)
HOMES = {"pidnet": ""}
DATA_OPTIONS = {11: {"classes": "leading", "order": "sanet"}}  # CamVid: as SANet


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


NETWORKS = {"PIDNet": _pidnet}


def create(build):
    """Our PIDNet for the constructor facts of the original's."""
    return pytorch.create(TITLE, NETWORKS, {"network": "PIDNet", **build})


def original_names(net, build):
    """{our name: the original's}."""
    return pytorch.original_names(net, "model." if build.get("wrapper") else "")


def unused(build, names):
    """The counters and the class weights of the wrapper's loss."""
    return pytorch.counters(names) | {"sem_loss.criterion.weight"}


def guess(given, shapes):
    """See ``origins``."""
    shapes["pag3.f_x.0.weight"]
    m, n = shapes.count("layer1."), shapes.count("layer3.")
    planes = shapes["conv1.0.weight"][0]
    fits = [k for k, v in VARIANTS.items() if v[0][0] == m and v[1] == planes]
    return {
        "num_classes": shapes["final_layer.conv2.weight"][0],
        "variant": (fits or ["S" if m == 2 else "L"])[0].lower(),
        "m": m,
        "n": n,
        "planes": planes,
        "ppm_planes": shapes["spp.scale0.2.weight"][0],
        "head_planes": shapes["final_layer.conv1.weight"][0],
        "augment": shapes.has("seghead_p."),
    }
