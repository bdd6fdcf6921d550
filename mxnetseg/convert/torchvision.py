"""ImageNet classifiers of torchvision."""

import re

from ..errors import UsageError
from .classifiers import from_pytorch, mobilenetv2_block, mobilenetv2_number, other_mobilenetv3

TITLE = "torchvision"
SIGNS = ("features.1.conv.0.0.weight", "features.conv0.weight")
KNOWN = "resnet18, resnet34, densenet*, mobilenet_v2"
MODELS = {
    **{name: name for name in ("resnet18", "resnet34")},
    **{name: name for name in ("densenet121", "densenet161", "densenet169", "densenet201")},
    "mobilenet_v2_1_0": "mobilenet_v2",  # of other widths the numbers of channels differ
}

_DENSE = {"norm1": "0", "conv1": "2", "norm2": "3", "conv2": "5"}  # parts of a unit
# torchvision's densenets of 2017 have a dot before the number
_OLD_DENSE = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])$")


def backbone(shapes):
    """See ``origins``."""
    if "layer1.0.conv1.weight" in shapes:
        check_resnet(shapes)
        return "resnet", from_pytorch(shapes, _resnet_part)
    if "features.conv0.weight" in shapes:
        return "densenet", from_pytorch(shapes, _densenet_part)
    if "features.1.conv.0.0.weight" in shapes:
        return "mobilenet_v2", from_pytorch(shapes, _mobilenetv2_part)
    if "features.1.block.0.0.weight" in shapes:
        raise other_mobilenetv3(TITLE)
    return None


def their_path(backbone, path):
    """See ``origins``."""
    if backbone.startswith("densenet"):
        return _their_densenet(path.split("."))
    if backbone.startswith("mobilenet_v2"):
        return _their_mobilenetv2(path.split("."))
    return path


def check_resnet(shapes):
    """Refuse ResNets that are none of the backbones here (UsageError with the reason)."""
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


def _resnet_part(path):
    return None if path == "fc" else path


def _densenet_part(path):
    """``features.denseblock2.denselayer3.norm1`` -> ``layer2.1.2.1.0``."""
    parts = _OLD_DENSE.sub(r"\1\2", path).split(".")
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


def _their_densenet(parts):
    """``layer2.1.2.1.0`` -> ``features.denseblock2.denselayer3.norm1``."""
    simple = {"stem.0": "conv0", "stem.1": "norm0", "layer4.2": "norm5"}
    if ".".join(parts) in simple:
        return "features." + simple[".".join(parts)]
    stage = int(parts[0][-1])
    if len(parts) == 3:
        return f"features.transition{stage - 1}." + {"0": "norm", "2": "conv"}[parts[2]]
    part = next(theirs for theirs, ours in _DENSE.items() if ours == parts[4])
    return f"features.denseblock{stage}.denselayer{int(parts[2]) + 1}.{part}"


def _mobilenetv2_part(path):
    """``features.4.conv.1.0`` -> ``layer2.0.out.3``."""
    parts = path.split(".")
    if parts[0] != "features":
        return None
    if parts[1] == "0":
        return f"layer1.{parts[2]}"
    block = mobilenetv2_block(int(parts[1]))
    if block is None:
        return None
    # units (convolution, norm) come before the projection and its norm
    if len(parts) == 5:
        return f"{block}.out.{3 * int(parts[3]) + int(parts[4])}"
    units = 1 if parts[1] == "1" else 2
    return f"{block}.out.{3 * units + int(parts[3]) - units}"


def _their_mobilenetv2(parts):
    """``layer2.0.out.3`` -> ``features.4.conv.1.0``."""
    if len(parts) == 2:
        return f"features.0.{parts[1]}"
    number, at = mobilenetv2_number(*parts[:2]), int(parts[3])
    units = 1 if number == 1 else 2
    tail = f"{at // 3}.{at % 3}" if at < 3 * units else f"{at - 2 * units}"
    return f"features.{number}.conv.{tail}"
