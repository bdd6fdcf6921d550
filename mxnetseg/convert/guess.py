"""The build options of a checkpoint, as far as its names and shapes show them.

One function per origin: ``(given, shapes) -> options``. ``given`` are the options that somebody
named; ``shapes`` {original name: shape}, without a wrapper's prefix. What neither shows nor has a
published default is asked for by name.
"""

import importlib
import inspect
import math
import re

from .. import backbones
from ..backbones import layouts
from ..backbones.mobilenetv3 import _STAGES as MOBILENETV3_STAGES
from ..backbones.mobilenetv3 import round_channels
from ..backbones.vit import PRESETS
from ..errors import UsageError
from ..models.pidnet import VARIANTS as PIDNET_VARIANTS
from ..models.sanet import VARIANTS as SANET_VARIANTS
from ..registry import unknown
from . import mxnetseg as original_mxnetseg

WRAPPERS = ("module.model.", "module.", "model.")
_QUIET = ("dropout", "drop", "embed_drop", "att_drop", "pretrained", "wrapper")  # no influence

# entries that only one origin has
_SIGNS = {
    "semseg": ("layer0.6.weight", "conv3.weight"),
    "sanet": ("stom.0.weight",),
    "pidnet": ("pag3.f_x.0.weight",),
    "mlmsnet": ("layer0.0.0.weight", "features.0.0.weight"),
    "pmsdsen": ("Stem_Conv.0.weight",),
    "mxnetseg": ("conv1.0.weight", "head.block.0.weight", "layer1.0.bn1.gamma", "stem.0.weight"),
}
_TITLES = {
    "semseg": "semseg",
    "sanet": "SANet",
    "pidnet": "PIDNet",
    "mlmsnet": "MLMSNet",
    "pmsdsen": "PMSDSEN",
    "mxnetseg": "MXNetSeg",
}


class _Absent(Exception):
    """An entry that every checkpoint of the origin has is not there."""


class _Shapes(dict):
    """{name: shape}; says which entry is missing."""

    def __missing__(self, name):
        raise _Absent(name)

    def has(self, prefix):
        return any(name.startswith(prefix) for name in self)

    def count(self, prefix):
        """How many blocks ``prefix0.``, ``prefix1.`` ... there are."""
        pattern = re.compile(re.escape(prefix) + r"(\d+)\.")
        return len({m.group(1) for m in map(pattern.match, self) if m})


def complete(system, build, state):
    """``build`` with all that the file shows.

    Returns:
        The options that make the network; those of them that the file showed; those that neither
        the file nor ``build`` names: {option: the original's default}.

    Raises:
        UsageError: not a checkpoint of ``system``; an option that must be named, with candidates.
    """
    if system not in _GUESSES:
        raise unknown("origin", system, _GUESSES)
    known = _known(system)
    for option in build:
        if option not in known:
            raise unknown(f"build option of {_TITLES[system]}", option, known)
    shapes = _Shapes((bare(name), tuple(value.shape)) for name, value in state.items())
    try:
        shown = _GUESSES[system](build, shapes)
    except (_Absent, IndexError) as error:
        missing = f" (it has no entry '{error}')" if isinstance(error, _Absent) else ""
        others = [s for s, signs in _SIGNS.items() if any(n in shapes for n in signs)]
        others = [s for s in others if s != system]
        hint = f" It looks like one of {_TITLES[others[0]]}: --from {others[0]}." if others else ""
        raise UsageError(f"This is no checkpoint of {_TITLES[system]}{missing}.{hint}") from None
    shown = {k: v for k, v in shown.items() if k not in build or k == "encoder"}
    wrapped = any(name.startswith(("model.", "module.model.")) for name in state)
    if wrapped and system in ("sanet", "pidnet"):
        shown["wrapper"] = True
    chosen = {**build, **shown}
    return chosen, shown, _assumed(system, chosen)


def bare(name):
    """The name without what a wrapper put before it."""
    prefix = next((p for p in WRAPPERS if name.startswith(p)), "")
    return name[len(prefix) :]


def _functions(system):
    """The origin's module; {network: function of the build options}."""
    origin = importlib.import_module(f"{__package__}.{system}")
    networks = {**getattr(origin, "NETWORKS", {}), **getattr(origin, "CLASSIFIERS", {})}
    return origin, networks or {None: getattr(origin, f"_{system}")}


def _known(system):
    """All build options of the origin's networks."""
    origin, networks = _functions(system)
    named = {p for f in networks.values() for p in inspect.signature(f).parameters}
    return sorted({"network", *named, *getattr(origin, "_IGNORED", ())})


def _assumed(system, build):
    """{option: default} of what ``build`` leaves open."""
    _, networks = _functions(system)
    function = networks.get(build.get("network")) or next(iter(networks.values()))
    return {
        name: p.default
        for name, p in inspect.signature(function).parameters.items()
        if name not in build and name not in _QUIET and p.default not in (p.empty, None)
    }


def _ask(option, why, candidates):
    return UsageError(
        f"The file does not show '{option}' ({why}): name it with --build "
        f"'{{\"{option}\": ...}}'. Candidates: {', '.join(map(str, candidates))}."
    )


def _one_of(build, known, title):
    network = build.get("network")
    if network is not None and network not in known:
        raise unknown(f"network of {title}", network, known)
    return network


# --- semseg --------------------------------------------------------------------------------------


def _semseg(given, shapes):
    from .semseg import NETWORKS

    layers = {6: 50, 23: 101, 36: 152}.get(shapes.count("layer3."))
    if layers is None:
        raise _Absent("layer3.5.conv1.weight")
    network = _one_of(given, NETWORKS, "semseg")
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
            raise _ask("bins", f"{bins} sizes of pyramid grids", ["[1, 2, 3, 6] has 4"])
        return shown
    shown["use_psa"] = shapes.has("psa.")
    if shown["use_psa"]:
        if shapes.has("psa.reduce_p."):
            shown["psa_type"] = 2
        elif "psa_type" not in given:
            raise _ask("psa_type", "both have the same shapes", ["0 (collect)", "1 (distribute)"])
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
    raise _ask("mask_h", f"times mask_w it is {cells}", [f"{a} (x {b})" for a, b in pairs])


# --- SANet, PIDNet -------------------------------------------------------------------------------


def _sanet(given, shapes):
    depths = [shapes.count(f"layer{k}.") for k in (1, 2, 4, 5)]
    if shapes.count("dp1.conv.") == 5:
        variant = "L"
    else:
        variant = "M" if depths == list(SANET_VARIANTS["M"][0]) else "S"
    return {
        "num_classes": shapes["final_layer.conv2.weight"][0],
        "variant": variant,
        "layers": depths,
        "planes": shapes["stom.0.weight"][0],
        "spp_planes": shapes["spp.scale0.2.weight"][0],
        "head_planes": shapes["final_layer.conv1.weight"][0],
        "augment": shapes.has("seghead_extra."),
    }


def _pidnet(given, shapes):
    shapes["pag3.f_x.0.weight"]
    m, n = shapes.count("layer1."), shapes.count("layer3.")
    planes = shapes["conv1.0.weight"][0]
    fits = [k for k, v in PIDNET_VARIANTS.items() if v[0][0] == m and v[1] == planes]
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


# --- MLMSNet -------------------------------------------------------------------------------------


def _mlmsnet(given, shapes):
    from .mlmsnet import NETWORKS

    network = _one_of(given, NETWORKS, "MLMSNet")
    numbered = "features.0.0.weight" in shapes  # an ImageNet file of the encoder's authors
    blocks = _mobilenetv3_blocks(shapes, numbered)
    mode = "large" if len(blocks) == 15 else "small"
    width = _mobilenetv3_width(mode, [shapes[name][0] for name in blocks])
    if numbered or "classifier.3.weight" in shapes:
        classes = shapes["classifier.3.weight"][0]
        name = network or f"mobilenetv3_{mode}"
        return {"network": name, "width_mult": width, "num_classes": classes}

    light = "cls.0.weight" not in shapes
    levels = _tapped(mode, shapes, blocks)
    if network is None:
        fused = shapes.has("msf0.") or shapes.has("mlf.")
        if light:
            network = "MLMSNetv2"
        elif fused or shapes["cls.0.weight"][1] != levels[-1]:
            network = "MLMSNet"
        else:
            network = "BaselineNet"
    shown = {
        "network": network,
        "mode": mode,
        "width_mult": width,
        "classes": shapes["cls.1.weight" if light else "cls.4.weight"][0],
    }
    if network != "BaselineNet":
        shown["use_msf"], shown["use_mlf"] = shapes.has("msf0."), shapes.has("mlf.")
        joined = shapes["cls.1.weight" if light else "cls.0.weight"][1]
        shown["large"] = joined == 2 * sum(levels)
    return shown


def _mobilenetv3_blocks(shapes, numbered):
    """The name of the last convolution of every block, in order."""
    block = r"features\.(\d+)" if numbered else r"layer([1-4]\.\d+)"
    pattern = re.compile(block + r"\.conv\.(\d+)\.weight$")
    last = {}
    for name, shape in shapes.items():
        match = pattern.match(name)
        if match and len(shape) == 4:
            index = int(match.group(2))
            block = tuple(map(int, match.group(1).split(".")))
            if index >= last.get(block, (0, ""))[0]:
                last[block] = (index, name)
    if len(last) not in (15, 11):
        raise _Absent("layer1.0.conv.0.weight")
    return [last[block][1] for block in sorted(last)]


def _mobilenetv3_width(mode, channels):
    """The factor that gives the blocks their numbers of channels."""
    base = [block[2] for stage in MOBILENETV3_STAGES[mode] for block in stage]
    usual = (1.0, 0.75, 0.5, 0.25, 0.35, 1.25, 1.5, 2.0)
    for width in (*usual, *(n / 100 for n in range(10, 401))):
        if [round_channels(c * width) for c in base] == channels:
            return width
    raise _Absent("layer4.2.conv.7.weight")


def _tapped(mode, shapes, blocks):
    """Channels of L2, L3 and L4."""
    ends, total = [], 0
    for stage in MOBILENETV3_STAGES[mode]:
        total += len(stage)
        ends.append(shapes[blocks[total - 1]][0])
    return ends[1:]


# --- PMSDSEN -------------------------------------------------------------------------------------


def _pmsdsen(given, shapes):
    shown = {"cls": shapes["seg_head_x2.3.weight"][0]}
    if "Stem_Conv.2.weight" in shapes:
        shown["act_name"] = "prelu"
    return shown


# --- MXNetSeg ------------------------------------------------------------------------------------

_CLASSES = 7919  # stands for a number of classes that is not known yet


def _mxnetseg(given, shapes):
    networks = {**original_mxnetseg.NETWORKS, **original_mxnetseg.CLASSIFIERS}
    network = _one_of(given, networks, "MXNetSeg")
    if "cls_token" in shapes:
        return {"network": "VisionTransformer", **_vit(given, shapes, "constructor")}
    if "linear.weight" in shapes:
        shown = {"classes": shapes["linear.weight"][0], **_eprnet_options(shapes)}
        widths = [shapes["conv.weight"][0], *(_width_of_stage(shapes, k) for k in (1, 2, 3))]
        return {"network": "EPRNetCls", **shown, "widths": widths}
    if "patch_embed.linear.weight" in shapes:
        return {"network": "SETR", **_setr(given, shapes)}
    if "conv.weight" in shapes and network in (None, "EPRNet"):
        shown = {"network": "EPRNet", **_eprnet_options(shapes)}
        return {**shown, "nclass": _fitting("EPRNet", {**shown, **given}, shapes) or 19}
    backbone = given.get("backbone") or _backbone(shapes)
    auxes = (True, False) if any("aux" in name for name in shapes) else (False, True)
    for name in [network] if network else _networks_on(backbone):
        known = inspect.signature(networks[name]).parameters
        for aux in auxes if "aux" in known and "aux" not in given else (None,):
            trial = {"backbone": backbone, **({} if aux is None else {"aux": aux})}
            classes = _fitting(name, {**trial, **given}, shapes)
            if classes is not None:
                return {"network": name, "nclass": classes, **trial}
    if network and backbone:  # from_original says what does not fit
        return {"network": network, "backbone": backbone, "nclass": given.get("nclass", 19)}
    raise _Absent("conv1.weight")


def _networks_on(backbone):
    """The networks that a file with ``backbone`` may be of.

    Their entries tell all apart but three pairs: there the original has a class of its own for one
    family of backbones.
    """
    own = {"FCNMobileNet": "mobilenet", "BiSeNetX": "xception", "DeepLabv3PlusX": "xception"}
    others = {"FCNResNet": "mobilenet", "BiSeNetR": "xception", "DeepLabv3PlusR": "xception"}
    for name in original_mxnetseg.NETWORKS if backbone else ():
        if name in ("EPRNet", "SETR") or backbone.startswith(others.get(name, "-")):
            continue
        if backbone.startswith(own.get(name, "")):
            yield name


def _fitting(network, build, shapes):
    """The number of classes with which ``build`` has just these entries, or None."""
    build = {**build, "network": network, "nclass": build.get("nclass", _CLASSES)}
    try:
        net = original_mxnetseg.create(build)
    except UsageError:  # the backbone does not go with the network
        return None
    names = original_mxnetseg.original_names(net, build)
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
    return layouts.matching(family, shapes)[0]


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


def _vit_sizes(given, shapes, option):
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
            raise _ask("heads", "it divides embed_dim", divisors)
        raise _ask("encoder", "heads divides embed_dim", [{"heads": n} for n in divisors])
    return sizes, sizes["patch_size"]


def _vit(given, shapes, option):
    shown, patch = _vit_sizes(given, shapes, option)
    side = math.isqrt(shapes["pos_embed"][1] - 1)
    shown["img_size"] = side * patch
    shown["classes"] = shapes["head.1.weight"][0]
    shown["qkv_bias"] = "blocks.0.att.att_qkv.bias" in shapes
    return shown


def _setr(given, shapes):
    sizes, patch = _vit_sizes(given, shapes, "backbone")
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
    raise _Absent("head.conv0.weight")


_GUESSES = {
    "semseg": _semseg,
    "sanet": _sanet,
    "pidnet": _pidnet,
    "mlmsnet": _mlmsnet,
    "pmsdsen": _pmsdsen,
    "mxnetseg": _mxnetseg,
}
ORIGINS = tuple(_GUESSES)
