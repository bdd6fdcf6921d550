"""Checkpoints of BebDong/MXNetSeg.

Its names are Gluon's structured names: the backbone's parts at the top level, ``head.`` and
``aux_head.`` beside them. Ours have the same ones, with the backbone below ``backbone.``.
"""

import inspect
import math

from .. import backbones, models
from ..backbones.eprnet import EPRNetClassifier
from ..backbones.vit import PRESETS, VisionTransformer
from ..errors import UsageError
from ..registry import unknown
from .classifiers import matching
from .shapes import Absent, ask, named_network

TITLE = "MXNetSeg"
SIGNS = (
    "layer1.0.bn1.gamma",  # ResNet, ResNeSt
    "stem.0.weight",  # DenseNet
    "layer1.3.out.0.weight",  # MobileNetV2
    "block1.skipbn.gamma",  # Xception-65
    "conv.bn.gamma",  # Xception-39
    "bn.gamma",  # EPRNet
    "blocks.0.norm1.gamma",  # ViT
)
DATA_OPTIONS = {11: {"classes": "grouped"}}  # CamVid

# Constructor facts that change nothing unless the network's function below takes them: the size of
# the logits comes from the input here, all norms have the same entries, and the original ignores
# "aux" and "dilate" where a network has no such choice (PSPNet is always dilated ...).
IGNORED = {
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

_CLASSES = 7919  # stands for a number of classes that is not known yet


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


SEGMENTATION = {
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
_BACKBONES = r"(resnet\d+|resnest\d+|densenet\d+|mobilenet_v2_\w+|xception\d+|vit\w*)?"
HOMES = {translate()[0]: _BACKBONES for translate in SEGMENTATION.values()}


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
NETWORKS = {**SEGMENTATION, **CLASSIFIERS}


def create(build):
    """Our network for the constructor facts of one of ``NETWORKS``."""
    network = build.get("network")
    if network not in NETWORKS:
        raise unknown("network of MXNetSeg", network, NETWORKS)
    if network in SEGMENTATION and "nclass" not in build:
        raise UsageError("The build options lack 'nclass', the number of classes.")
    translate = NETWORKS[network]
    known = inspect.signature(translate).parameters
    options = {k: v for k, v in build.items() if k in known or k not in IGNORED}
    for option in options:
        if option not in known:
            raise unknown(f"build option of {network}", option, {*known, *IGNORED})
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


def guess(given, shapes):
    """See ``origins``."""
    network = named_network(given, NETWORKS, TITLE)
    if "cls_token" in shapes:
        return {"network": "VisionTransformer", **_guess_vit(given, shapes)}
    if "linear.weight" in shapes:
        shown = {"classes": shapes["linear.weight"][0], **_eprnet_options(shapes)}
        widths = [shapes["conv.weight"][0], *(_width_of_stage(shapes, k) for k in (1, 2, 3))]
        return {"network": "EPRNetCls", **shown, "widths": widths}
    if "patch_embed.linear.weight" in shapes:
        return {"network": "SETR", **_guess_setr(given, shapes)}
    if "conv.weight" in shapes and network in (None, "EPRNet"):
        shown = {"network": "EPRNet", **_eprnet_options(shapes)}
        return {**shown, "nclass": _fitting("EPRNet", {**shown, **given}, shapes) or 19}
    backbone = given.get("backbone") or _backbone(shapes)
    auxes = (True, False) if any("aux" in name for name in shapes) else (False, True)
    for name in [network] if network else _networks_on(backbone):
        known = inspect.signature(NETWORKS[name]).parameters
        for aux in auxes if "aux" in known and "aux" not in given else (None,):
            trial = {"backbone": backbone, **({} if aux is None else {"aux": aux})}
            classes = _fitting(name, {**trial, **given}, shapes)
            if classes is not None:
                return {"network": name, "nclass": classes, **trial}
    if network and backbone:  # from_original says what does not fit
        return {"network": network, "backbone": backbone, "nclass": given.get("nclass", 19)}
    raise Absent("conv1.weight")


def _networks_on(backbone):
    """The networks that a file with ``backbone`` may be of.

    Their entries tell all apart but three pairs: there the original has a class of its own for one
    family of backbones.
    """
    own = {"FCNMobileNet": "mobilenet", "BiSeNetX": "xception", "DeepLabv3PlusX": "xception"}
    others = {"FCNResNet": "mobilenet", "BiSeNetR": "xception", "DeepLabv3PlusR": "xception"}
    for name in SEGMENTATION if backbone else ():
        if name in ("EPRNet", "SETR") or backbone.startswith(others.get(name, "-")):
            continue
        if backbone.startswith(own.get(name, "")):
            yield name


def _fitting(network, build, shapes):
    """The number of classes with which ``build`` has just these entries, or None."""
    build = {**build, "network": network, "nclass": build.get("nclass", _CLASSES)}
    try:
        net = create(build)
    except UsageError:  # the backbone does not go with the network
        return None
    names = original_names(net, build)
    wanted = {names[k]: p.shape for k, p in net._collect_params_with_prefix().items()}
    if set(wanted) != set(shapes):
        return None
    classes = {build["nclass"]} - {_CLASSES}
    for name, shape in wanted.items():
        theirs = shapes[name]
        if len(shape) != len(theirs):
            return None
        for ours, other in zip(shape, theirs):
            if ours == _CLASSES:
                classes.add(other)
            elif ours != other:
                return None
    return classes.pop() if len(classes) == 1 else None


def _backbone(shapes):
    """The name of MXNetSeg's backbone whose entries are among ``shapes``."""
    if "layer1.0.conv2.conv.weight" in shapes:
        family = "resnest"
    elif "stem.0.weight" in shapes:
        family = "densenet"
    elif "layer1.3.out.0.weight" in shapes:
        family = "mobilenet_v2"
    elif shapes.has("midflow."):
        family = "xception65"
    elif "layer1.0.bn1.gamma" in shapes:
        family = "resnet"
    else:
        family = "xception39"
    return matching(family, shapes)[0]


def _eprnet_options(shapes):
    return {
        "light": not shapes.has("layer1.0.pyramid.proj") and _is_light(shapes),
        "activation": "prelu" if any(n.endswith(".alpha") for n in shapes) else "relu",
    }


def _is_light(shapes):
    """Whether the entries are those of the light trunk."""
    own = backbones.create("eprnet_light")._collect_params_with_prefix()
    heavy = backbones.create("eprnet")._collect_params_with_prefix()
    only_heavy = {k for k in heavy if k not in own and not k.endswith("alpha")}
    return not any(k in shapes for k in only_heavy)


def _width_of_stage(shapes, stage):
    names = [n for n in shapes if n.startswith(f"layer{stage}.0.") and n.endswith("gamma")]
    return max(shapes[n][0] for n in names)


def _shown_vit_sizes(given, shapes, option):
    """Sizes of a ViT, or the name of the preset that has them."""
    sizes = {
        "patch_size": shapes["patch_embed.linear.weight"][-1],
        "depth": shapes.count("blocks."),
        "embed_dim": shapes["patch_embed.linear.weight"][0],
        "hidden_size": shapes["blocks.0.mlp.fc1.weight"][0],
    }
    for name, preset in PRESETS.items():
        if all(preset[k] == v for k, v in sizes.items()):
            return {option: name}, sizes["patch_size"]
    divisors = [n for n in range(1, 65) if sizes["embed_dim"] % n == 0]
    if "heads" not in given and "heads" not in (given.get("encoder") or {}):
        if option == "constructor":
            raise ask("heads", "it divides embed_dim", divisors)
        raise ask("encoder", "heads divides embed_dim", [{"heads": n} for n in divisors])
    return sizes, sizes["patch_size"]


def _guess_vit(given, shapes):
    shown, patch = _shown_vit_sizes(given, shapes, "constructor")
    side = math.isqrt(shapes["pos_embed"][1] - 1)
    shown["img_size"] = side * patch
    shown["classes"] = shapes["head.1.weight"][0]
    shown["qkv_bias"] = "blocks.0.att.att_qkv.bias" in shapes
    return shown


def _guess_setr(given, shapes):
    sizes, patch = _shown_vit_sizes(given, shapes, "backbone")
    shown = {"crop_size": math.isqrt(shapes["pos_embed"][1]) * patch}
    if "backbone" in sizes:
        shown.update(sizes)
    else:
        encoder = given.get("encoder") or {}
        shown["backbone"] = None
        shown["encoder"] = {**sizes, **encoder}
    decoders = ("naive", "pup", "mla")
    for decoder in [given["decoder"]] if "decoder" in given else decoders:
        for aux in [given["aux"]] if "aux" in given else (True, False):
            trial = {**shown, "decoder": decoder, "aux": aux}
            classes = _fitting("SETR", {**given, **trial}, shapes)
            if classes is not None:
                return {**trial, "nclass": classes}
    raise Absent("head.conv0.weight")
