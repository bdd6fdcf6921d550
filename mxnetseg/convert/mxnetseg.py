"""Checkpoints of BebDong/MXNetSeg.

Its names are Gluon's structured names: the backbone's parts at the top level, ``head.`` and
``aux_head.`` beside them. Ours have the same ones, with the backbone below ``backbone.``.
"""

import inspect

from .. import models
from ..backbones.eprnet import EPRNetClassifier
from ..backbones.vit import PRESETS, VisionTransformer
from ..errors import UsageError
from ..registry import unknown

# Constructor facts that change nothing unless the network's function below takes them: the size of
# the logits comes from the input here, all norms have the same entries, and the original ignores
# "aux" and "dilate" where a network has no such choice (PSPNet is always dilated ...).
_IGNORED = {
    "aux",
    "dilate",
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


def _deeplabv3(backbone="resnet50", aux=True, dilate=True):
    return "deeplabv3", dict(backbone=backbone, aux=aux, output_stride=_stride(dilate))


def _deeplabv3plus_r(backbone="resnet50", dilate=True):
    return "deeplabv3plus", dict(backbone=backbone, output_stride=_stride(dilate))


def _canetv2(backbone="resnet50", aux=False, dilate=True):
    if not dilate:
        raise UsageError("MXNetSeg's CANetv2 does not run with dilate=False; use dilate=True.")
    return "canetv2", dict(backbone=backbone, aux=aux)


def _eprnet(light=False, activation="prelu", drop=0):
    return "eprnet", dict(light=light, activation=activation, dropout=drop)


def _setr(
    decoder="pup",
    aux=True,
    backbone="vit_large_16",
    crop_size=480,
    encoder=None,
    layer_norm_eps=1e-6,
):
    """``encoder``: sizes that differ from those of ``backbone``."""
    sizes = _vit_sizes(backbone, encoder or {})
    options = dict(sizes, img_size=crop_size, layer_norm_eps=layer_norm_eps)
    return "setr", dict(decoder=decoder, aux=aux, backbone="vit", backbone_options=options)


def _vit_sizes(preset, sizes):
    if preset is not None:
        name, preset = preset, str(preset).lower()  # as backbones are named
        if preset not in PRESETS:
            raise unknown("ViT", name, PRESETS)
    names = list(PRESETS["vit_base_16"])
    for name in sizes:
        if name not in names:
            raise unknown("size of ViT", name, names)
    sizes = {**PRESETS.get(preset, {}), **sizes}
    missing = [name for name in names if name not in sizes]
    if missing:
        raise UsageError(f"The build options of the ViT lack {', '.join(missing)}.")
    return sizes


def _renamed(name, **defaults):
    """A function like those above for a network whose build options have our names."""

    def translate(**options):
        return name, {**defaults, **options}

    parameters = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=value)
        for key, value in defaults.items()
    ]
    translate.__signature__ = inspect.Signature(parameters)
    return translate


NETWORKS = {
    "FCNResNet": _fcn_resnet,
    "FCNMobileNet": _fcn_mobilenet,
    "BiSeNetR": _renamed("bisenet", backbone="resnet18", aux=True),
    "BiSeNetX": _renamed("bisenet", backbone="xception39", aux=True),
    "SwiftResNet": _renamed("swiftnet", backbone="resnet18", aux=True),
    "SwiftResNetPr": _renamed("swiftnetpr", backbone="resnet18", aux=False),
    "PSPNet": _renamed("pspnet", backbone="resnet50", aux=True),
    "DeepLabv3": _deeplabv3,
    "DeepLabv3PlusX": _renamed("deeplabv3plus", backbone="xception65"),
    "DeepLabv3PlusR": _deeplabv3plus_r,
    "DenseASPP": _renamed("denseaspp", backbone="resnet50", aux=True),
    "DANet": _renamed("danet", backbone="resnet50", aux=False),
    "SemanticFPN": _renamed("semanticfpn", backbone="resnet50"),
    "LadderDenseNet": _renamed("ladderdensenet", backbone="densenet121", aux=True),
    "AttentionToScale": _renamed("attention_to_scale", backbone="resnet50", aux=True),
    "SeENet": _renamed("seenet", backbone="resnet50", aux=True),
    "ACFNet": _renamed("acfnet", backbone="resnet50", aux=False),
    "CANetv1": _renamed("canetv1", backbone="resnet50", aux=True),
    "CANetv2": _canetv2,
    "AttaNet": _renamed("attanet", backbone="resnet18", aux=True),
    "AlignSeg": _renamed("alignseg", backbone="resnet50", aux=True),
    "FaPN": _renamed("fapn", backbone="resnet50", aux=False),
    "GFFNet": _renamed("gffnet", backbone="resnet50", aux=True),
    "EPRNet": _eprnet,
    "SETR": _setr,
}


def _eprnet_cls(
    classes=1000,
    light=False,
    activation="prelu",
    drop=0,
    channels=None,
    stage_channels=None,
    stage_widths=None,
    widths=None,
):
    """The stage widths under any of four names: the original's own word for them is not known."""
    widths = channels or stage_channels or stage_widths or widths or (16, 32, 64, 128)
    return EPRNetClassifier(classes, light, activation, drop, tuple(widths))


def _vision_transformer(
    constructor=None,
    patch_size=None,
    depth=None,
    embed_dim=None,
    hidden_size=None,
    heads=None,
    img_size=None,
    classes=None,
    qkv_bias=True,
    embed_drop=0.0,
    att_drop=0.0,
    drop=0.1,
    activation="gelu",
    layer_norm_eps=1e-6,
    pool="cls",
):
    """``constructor``: one of the presets, for the sizes that are not given."""
    given = dict(
        patch_size=patch_size,
        depth=depth,
        embed_dim=embed_dim,
        hidden_size=hidden_size,
        heads=heads,
    )
    sizes = _vit_sizes(constructor, {k: v for k, v in given.items() if v is not None})
    for name, value in (("img_size", img_size), ("classes", classes)):
        if value is None:
            raise UsageError(f"The build options of VisionTransformer lack '{name}'.")
    return VisionTransformer(
        **sizes,
        img_size=img_size,
        classes=classes,
        qkv_bias=qkv_bias,
        embed_drop=embed_drop,
        att_drop=att_drop,
        drop=drop,
        activation=activation,
        layer_norm_eps=layer_norm_eps,
        pool=pool,
    )


# Those that give scores (N, classes) instead of a segmentation.
CLASSIFIERS = {
    "EPRNetCls": _eprnet_cls,
    "VisionTransformer": _vision_transformer,
}


def create(build):
    """Our network for the constructor facts of one of ``NETWORKS`` or ``CLASSIFIERS``."""
    network = build.get("network")
    translate = NETWORKS.get(network) or CLASSIFIERS.get(network)
    if translate is None:
        raise unknown("network of MXNetSeg", network, [*NETWORKS, *CLASSIFIERS])
    if network in NETWORKS and "nclass" not in build:
        raise UsageError("The build options lack 'nclass', the number of classes.")
    known = inspect.signature(translate).parameters
    options = {k: v for k, v in build.items() if k in known or k not in _IGNORED}
    for option in options:
        if option not in known:
            raise unknown(f"build option of {network}", option, {*known, *_IGNORED})
    if network in CLASSIFIERS:
        return translate(**options)
    name, ours = translate(**options)
    return models.create(name, build["nclass"], initialize=False, **ours)


def original_names(net, build):
    """{our name: MXNetSeg's}: no ``backbone.``, and a PReLU one level further down."""
    prefix = "backbone."
    out = {}
    for name in net._collect_params_with_prefix():
        theirs = name[len(prefix) :] if name.startswith(prefix) else name
        if theirs.endswith(".alpha"):
            theirs = theirs[: -len("alpha")] + "act.alpha"
        out[name] = theirs
    return out


def unused(build, names):
    """MXNetSeg's checkpoints hold nothing that its networks do not use."""
    return set()
