"""Checkpoints of BebDong/MXNetSeg.

Its names are Gluon's structured names: the backbone's parts at the top level, ``head.`` and
``aux_head.`` beside them. Ours have the same ones, with the backbone below ``backbone.``.
"""

from .. import models
from ..errors import UsageError
from ..registry import unknown

# Constructor facts that every network has and that change no parameter: the size of the logits
# is taken from the input here, and all norms have the same entries.
_IGNORED = {
    "network",
    "norm",
    "height",
    "width",
    "crop_size",
    "base_size",
    "pretrained",
    "pretrained_base",
    "nclass",
}


def _stride(dilate):
    return 8 if dilate else 32


def _fcn_resnet(backbone="resnet50", aux=True, dilate=True):
    return "fcn", dict(backbone=backbone, aux=aux, output_stride=_stride(dilate))


def _fcn_mobilenet(backbone="mobilenet_v2_1_0", aux=True):
    return "fcn", dict(backbone=backbone, aux=aux, output_stride=32)


def _bisenet_r(backbone="resnet18", aux=True):
    return "bisenet", dict(backbone=backbone, aux=aux)


def _bisenet_x(backbone="xception39", aux=True):
    return "bisenet", dict(backbone=backbone, aux=aux)


def _swiftnet(backbone="resnet18", aux=True):
    return "swiftnet", dict(backbone=backbone, aux=aux)


NETWORKS = {
    "FCNResNet": _fcn_resnet,
    "FCNMobileNet": _fcn_mobilenet,
    "BiSeNetR": _bisenet_r,
    "BiSeNetX": _bisenet_x,
    "SwiftResNet": _swiftnet,
}


def create(build):
    """Our network for the constructor facts of one of ``NETWORKS``."""
    network = build.get("network")
    if network not in NETWORKS:
        raise unknown("network of MXNetSeg", network, NETWORKS)
    if "nclass" not in build:
        raise UsageError("The build options lack 'nclass', the number of classes.")
    translate = NETWORKS[network]
    options = {k: v for k, v in build.items() if k not in _IGNORED}
    known = translate.__code__.co_varnames[: translate.__code__.co_argcount]
    for option in options:
        if option not in known:
            raise unknown(f"build option of {network}", option, [*known, *_IGNORED])
    name, ours = translate(**options)
    return models.create(name, build["nclass"], initialize=False, **ours)


def original_names(net, build):
    """{our name: MXNetSeg's}."""
    prefix = "backbone."
    return {
        name: name[len(prefix) :] if name.startswith(prefix) else name
        for name in net._collect_params_with_prefix()
    }


def unused(build, names):
    """MXNetSeg's checkpoints hold nothing that its networks do not use."""
    return set()
