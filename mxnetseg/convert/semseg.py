"""Checkpoints of hszhao/semseg: PSPNet, PSANet, and the ResNets with their ImageNet tail."""

import math
import re

from .. import models
from ..backbones.resnet_semseg import SemsegResNetClassifier
from ..errors import UsageError
from . import pytorch
from .shapes import Absent, ask, named_network

TITLE = "semseg"
SIGNS = ("layer0.6.weight", "conv3.weight")
HOMES = {"pspnet_semseg": r"resnet\d+_semseg", "psanet": r"resnet\d+_semseg"}
DATA_OPTIONS = {11: {"classes": "grouped", "order": "semseg"}}  # CamVid

_MODES = ("collect", "distribute", "both")
# the stem's parts in a segmentation network -> in an ImageNet file
_STEM = {
    "layer0.0": "conv1",
    "layer0.1": "bn1",
    "layer0.3": "conv2",
    "layer0.4": "bn2",
    "layer0.6": "conv3",
    "layer0.7": "bn3",
}

_PYRAMID = re.compile(r"^ppm\.conv(\d+)\.(conv|bn)\.")


def _pyramid_unit(match):
    """A sequence of pooling, convolution and norm, counted from 0."""
    number, part = match.groups()
    return f"ppm.features.{int(number) - 1}.{1 if part == 'conv' else 2}."


def _create(name, classes, layers, **options):
    if layers not in (50, 101, 152):
        raise UsageError(f"semseg's ResNets have 50, 101 or 152 layers, not {layers}.")
    backbone = f"resnet{layers}_semseg"
    return models.create(name, classes, backbone, initialize=False, **options)


def _pspnet(
    layers=50,
    bins=(1, 2, 3, 6),
    dropout=0.1,
    classes=2,
    zoom_factor=8,
    use_ppm=True,
    pretrained=True,
):
    del pretrained  # says where the original's backbone starts from
    return _create(
        "pspnet_semseg",
        classes,
        layers,
        bins=tuple(bins),
        use_ppm=use_ppm,
        zoom_factor=zoom_factor,
        dropout=dropout,
    )


def _psanet(
    layers=50,
    dropout=0.1,
    classes=2,
    zoom_factor=8,
    use_psa=True,
    psa_type=2,
    compact=False,
    shrink_factor=2,
    mask_h=59,
    mask_w=59,
    normalization_factor=1.0,
    psa_softmax=True,
    pretrained=True,
):
    del pretrained
    if psa_type not in range(len(_MODES)):
        raise UsageError(
            f"psa_type must be 0 (collect), 1 (distribute) or 2 (both), not {psa_type!r}."
        )
    if str(normalization_factor).lower() == "none":
        normalization_factor = None
    return _create(
        "psanet",
        classes,
        layers,
        mode=_MODES[psa_type],
        compact=bool(compact),
        shrink_factor=shrink_factor,
        mask_size=(mask_h, mask_w),
        normalization_factor=normalization_factor,
        psa_softmax=bool(psa_softmax),
        use_psa=use_psa,
        zoom_factor=zoom_factor,
        dropout=dropout,
    )


def _classifier(layers):
    def translate(num_classes=1000, pretrained=False):
        del pretrained
        return SemsegResNetClassifier(layers, num_classes)

    return translate


NETWORKS = {
    "PSPNet": _pspnet,
    "PSANet": _psanet,
    "resnet50": _classifier(50),
    "resnet101": _classifier(101),
    "resnet152": _classifier(152),
}


def create(build):
    """Our network for the constructor facts of one of ``NETWORKS``."""
    return pytorch.create(TITLE, NETWORKS, build)


def original_names(net, build):
    """{our name: the original's}. The classifier has the stem's parts at the top level."""
    names = pytorch.original_names(net)
    if not isinstance(net, SemsegResNetClassifier):
        return {ours: _PYRAMID.sub(_pyramid_unit, theirs) for ours, theirs in names.items()}
    parts = {ours: theirs.rpartition(".") for ours, theirs in names.items()}
    return {ours: f"{_STEM.get(m, m)}.{leaf}" for ours, (m, _, leaf) in parts.items()}


def unused(build, names):
    """The counters of the norms, no more."""
    return pytorch.counters(names)


def guess(given, shapes):
    """See ``origins``."""
    layers = {6: 50, 23: 101, 36: 152}.get(shapes.count("layer3."))
    if layers is None:
        raise Absent("layer3.5.conv1.weight")
    network = named_network(given, NETWORKS, TITLE)
    if network is None:
        attention, tail = shapes.has("psa."), "fc.weight" in shapes and "conv3.weight" in shapes
        network = "PSANet" if attention else f"resnet{layers}" if tail else "PSPNet"
    if network.startswith("resnet"):
        return {"network": network, "num_classes": shapes["fc.weight"][0]}
    shapes["layer0.6.weight"]
    shown = {"network": network, "layers": layers, "classes": shapes["cls.4.weight"][0]}
    if network == "PSPNet":
        shown["use_ppm"] = shapes.has("ppm.")
        bins = shapes.count("ppm.features.")
        if shown["use_ppm"] and bins != 4 and "bins" not in given:
            raise ask("bins", f"{bins} sizes of pyramid grids", ["[1, 2, 3, 6] has 4"])
        return shown
    shown["use_psa"] = shapes.has("psa.")
    if shown["use_psa"]:
        if shapes.has("psa.reduce_p."):
            shown["psa_type"] = 2
        elif "psa_type" not in given:
            raise ask("psa_type", "both have the same shapes", ["0 (collect)", "1 (distribute)"])
        shown.update(_mask(given, shapes["psa.attention.3.weight"][0]))
    return shown


def _mask(given, cells):
    """The sides of PSANet's mask: the file knows their product; published masks are square."""
    if "mask_h" in given and "mask_w" in given:
        return {}
    for one, other in (("mask_h", "mask_w"), ("mask_w", "mask_h")):
        if one in given:
            return {other: cells // given[one]}
    side = math.isqrt(cells)
    if side * side == cells:
        return {"mask_h": side, "mask_w": side}
    pairs = [(a, cells // a) for a in range(3, side + 1) if cells % a == 0]
    pairs += [(b, a) for a, b in pairs]
    raise ask("mask_h", f"times mask_w it is {cells}", [f"{a} (x {b})" for a, b in pairs])
