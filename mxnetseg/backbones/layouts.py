"""ImageNet classifiers of other libraries: which backbone they are, and our names for theirs.

Only weights that give the same maps are taken. Where a library's network differs from ours, the
error says in what.
"""

import re

from ..errors import UsageError
from ..registry import unknown
from .base import create, names

_NORM = {"weight": "gamma", "bias": "beta"}
_DENSE = {"norm1": "0", "conv1": "2", "norm2": "3", "conv2": "5"}  # parts of a unit
# PyTorch's densenets of 2017 have a dot before the number
_OLD_DENSE = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)")
# the blocks of MobileNetV2 by stage, and how many layers stand before the first of them
_MOBILE = ((1, 3, 3), (4, 3, 0), (7, 7, 0), (14, 4, 0))


def identify(layout, shapes):
    """The backbone that a classifier's file belongs to.

    Args:
        layout: one of ``LAYOUTS``. shapes: {the library's name: shape}.

    Returns:
        The backbone's name; {our name: theirs}, without the classifier's own entries.

    Raises:
        UsageError: unknown layout; a network that no backbone here equals, with the reason.
    """
    if layout not in LAYOUTS:
        raise unknown("library", layout, LAYOUTS)
    try:
        family, found = LAYOUTS[layout](shapes)
    except (KeyError, IndexError):  # parts that such networks do not have
        raise UsageError(f"This is no classifier of {layout} that is a backbone here.") from None
    name, own = matching(family, {ours: shapes[theirs] for ours, theirs in found.items()})
    if name is not None:
        return name, {k: found[k] for k in own}
    raise UsageError(
        f"None of the backbones {', '.join(_family(family))} has the shapes of this file; "
        f"{layout} makes networks of this family in more sizes than there are here."
    )


def matching(family, shapes):
    """The backbone of a family with all its entries, and no further blocks, among ``shapes``.

    Args:
        family: what its name starts with. shapes: {our name: shape}.

    Returns:
        Its name and the names of its entries; None and nothing if there is none.
    """
    blocks = {_block(k) for k in shapes}
    for name in _family(family):
        own = create(name)._collect_params_with_prefix()
        same = all(shapes.get(k) == tuple(p.shape) for k, p in own.items())
        if same and blocks - {""} <= {_block(k) for k in own}:
            return name, list(own)
    return None, []


def _family(family):
    return [n for n in names() if n.startswith(family) and not n.endswith("_semseg")]


def _block(name):
    """``layer1.0`` of ``layer1.0.conv1.weight``."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0].startswith("layer") else ""


def _from_torch(shapes, rename):
    """{our name: PyTorch's}; ``rename`` maps a module's path, None for those without a use."""
    out = {}
    for name in shapes:
        path, _, leaf = _OLD_DENSE.sub(r"\1\2", name).rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        norm = name.rpartition(".")[0] + ".running_mean" in shapes
        ours = rename(path)
        if ours is not None:
            out[f"{ours}.{_NORM.get(leaf, leaf) if norm else leaf}"] = name
    return out


def _torchvision(shapes):
    if "layer1.0.conv1.weight" in shapes:
        _check_resnet(shapes)
        return "resnet", _from_torch(shapes, _unless("fc"))
    if "features.conv0.weight" in shapes:
        return "densenet", _from_torch(shapes, _densenet_part)
    if "features.1.conv.0.0.weight" in shapes:
        return "mobilenet_v2", _from_torch(shapes, _mobilenet_part)
    if "features.1.block.0.0.weight" in shapes:
        raise _other_mobilenetv3("torchvision")
    raise _nothing("torchvision", "resnet18, resnet34, densenet*, mobilenet_v2")


def _timm(shapes):
    if "conv_stem.weight" in shapes:
        if any(".se." in name for name in shapes) or "blocks.1.0.conv_pwl.weight" not in shapes:
            raise _other_mobilenetv3("timm")
        return "mobilenet_v2", _from_torch(shapes, _timm_mobilenet_part(shapes))
    if "layer1.0.conv1.weight" in shapes or "features.conv0.weight" in shapes:
        return _torchvision(shapes)
    raise _nothing("timm", "resnet18, resnet34, resnet*s (gluon_resnet*_v1s), densenet*, "
                   "mobilenetv2_100")  # fmt: skip


def gluoncv(shapes):
    """GluonCV's names are ours, but for the feature sequences, which are cut here."""
    if "layer1.0.conv1.weight" in shapes:
        _check_resnet(shapes)
        family = "resnest" if "layer1.0.conv2.conv.weight" in shapes else "resnet"
        return family, {k: k for k in shapes if not k.startswith("fc.")}
    if "features.4.0.1.0.gamma" in shapes:
        return "densenet", _cut(shapes, (("stem", 0, 4), ("layer1", 4, 5), ("layer2", 5, 7),
                                         ("layer3", 7, 9), ("layer4", 9, 13)))  # fmt: skip
    if "features.3.out.0.weight" in shapes:
        return "mobilenet_v2", _cut(shapes, (("layer1", 0, 6), ("layer2", 6, 9),
                                             ("layer3", 9, 16), ("layer4", 16, 20)))  # fmt: skip
    if any(k.startswith("midflow.") for k in shapes):
        return "xception65", {k: k for k in shapes if not k.startswith("fc.")}
    raise _nothing("GluonCV", "resnet*_v1b (18, 34), resnet*_v1s, resnest*, densenet*, "
                   "mobilenet_v2_*, xception65")  # fmt: skip


LAYOUTS = {"torchvision": _torchvision, "timm": _timm, "gluoncv": gluoncv}


def _check_resnet(shapes):
    bottleneck = "layer1.0.conv3.weight" in shapes
    split = "layer1.0.conv2.conv.weight" in shapes
    stem = shapes.get("conv1.0.weight")
    downsample = next((s for k, s in shapes.items() if k.endswith("downsample.1.weight")), (0,))
    if bottleneck and stem is None:
        raise UsageError(
            "This ResNet starts with one 7 x 7 convolution; the backbones resnet50, 101 and 152 "
            "have three 3 x 3 (v1s), so that its weights would not fit. There are such weights: "
            "timm's resnet50s.gluon_in1k (gluon_resnet50_v1s), semseg's resnet50_v2."
        )
    if split:
        if "layer1.0.conv2.bn0.weight" in shapes:
            raise UsageError("timm's ResNeSt names its parts differently: take GluonCV's file.")
        return
    if len(downsample) == 4:
        raise UsageError(
            "This ResNet pools before its shortcuts (a 'd' variant); the backbones here do not."
        )
    if stem is not None and bottleneck and stem[0] != 64:
        raise UsageError(
            f"This ResNet's three 3 x 3 convolutions start with {stem[0]} channels (a 'c' or 'd' "
            "variant); those of the backbones here with 64 (v1s)."
        )


def _other_mobilenetv3(library):
    return UsageError(
        f"{library}'s MobileNetV3 and EfficientNets gate behind the activation, the MobileNetV3 "
        "here before it: the same weights would give other maps. Take the files of "
        "d-li14/mobilenetv3.pytorch with --from mlmsnet."
    )


def _nothing(library, known):
    return UsageError(f"This is no classifier of {library} that is a backbone here ({known}).")


def _unless(tail):
    return lambda path: None if path == tail else path


def _densenet_part(path):
    """``features.denseblock2.denselayer3.norm1`` -> ``layer2.1.2.1.0``."""
    parts = path.split(".")
    if parts[0] != "features":
        return None
    simple = {"conv0": "stem.0", "norm0": "stem.1", "norm5": "layer4.2"}
    if parts[1] in simple:
        return simple[parts[1]]
    stage = int(parts[1][-1])
    if parts[1].startswith("transition"):
        return f"layer{stage + 1}.0." + {"norm": "0", "conv": "2"}[parts[2]]
    unit = int(parts[2][len("denselayer") :]) - 1
    return f"layer{stage}.{0 if stage == 1 else 1}.{unit}.1.{_DENSE[parts[3]]}"


def _mobilenet_block(number):
    """``layer2.0`` for the 4th block, counted from 1; None behind the last."""
    for stage, (first, count, before) in enumerate(_MOBILE, 1):
        if first <= number < first + count:
            return f"layer{stage}.{number - first + before}"
    return None


def _mobilenet_part(path):
    """torchvision's ``features.4.conv.1.0`` -> ``layer2.0.out.3``."""
    parts = path.split(".")
    if parts[0] != "features":
        return None
    if parts[1] == "0":
        return f"layer1.{parts[2]}"
    block = _mobilenet_block(int(parts[1]))
    if block is None:
        return None
    # units (convolution, norm) come before the projection and its norm
    if len(parts) == 5:
        return f"{block}.out.{3 * int(parts[3]) + int(parts[4])}"
    units = 1 if parts[1] == "1" else 2
    return f"{block}.out.{3 * units + int(parts[3]) - units}"


def _timm_mobilenet_part(shapes):
    """timm's ``blocks.2.0.conv_dw`` -> ``layer2.0.out.3``."""
    blocks = sorted({tuple(map(int, k.split(".")[1:3])) for k in shapes if k[:7] == "blocks."})
    numbers = {block: i for i, block in enumerate(blocks, 1)}
    first = {"conv_dw": 0, "bn1": 1, "conv_pw": 3, "bn2": 4}
    others = {"conv_pw": 0, "bn1": 1, "conv_dw": 3, "bn2": 4, "conv_pwl": 6, "bn3": 7}

    def rename(path):
        if path in ("conv_stem", "bn1"):
            return "layer1.0" if path == "conv_stem" else "layer1.1"
        if not path.startswith("blocks."):
            return None
        _, stage, index, part = path.split(".")
        number = numbers[int(stage), int(index)]
        return f"{_mobilenet_block(number)}.out.{(first if number == 1 else others)[part]}"

    return rename


def _cut(shapes, pieces):
    out = {}
    for key in shapes:
        parts = key.split(".")
        if parts[0] == "features":
            for name, start, stop in pieces:
                if start <= int(parts[1]) < stop:
                    out[".".join([name, str(int(parts[1]) - start), *parts[2:]])] = key
    return out
