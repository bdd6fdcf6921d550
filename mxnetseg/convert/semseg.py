"""Checkpoints of hszhao/semseg: PSPNet, PSANet, and the ResNets with their ImageNet tail."""

import re

from .. import models
from ..backbones.resnet_semseg import SemsegResNetClassifier
from ..errors import UsageError
from . import pytorch

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
    return pytorch.create("semseg", NETWORKS, build)


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
