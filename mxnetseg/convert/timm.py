"""ImageNet classifiers of timm (huggingface/pytorch-image-models)."""

from . import torchvision
from .classifiers import from_pytorch, mobilenetv2_block, mobilenetv2_number, other_mobilenetv3

TITLE = "timm"
SIGNS = ("conv_stem.weight",)
KNOWN = "resnet18, resnet34, resnet*s (gluon_resnet*_v1s), densenet*, mobilenetv2_100"
MODELS = {
    **torchvision.MODELS,
    **{f"resnet{depth}": f"resnet{depth}s" for depth in (50, 101, 152)},
    "mobilenet_v2_1_0": "mobilenetv2_100",
}

_STAGES = (1, 2, 3, 4, 3, 3, 1)  # MobileNetV2's blocks
# the parts of MobileNetV2's first block, and of the others
_FIRST = {"conv_dw": 0, "bn1": 1, "conv_pw": 3, "bn2": 4}
_OTHERS = {"conv_pw": 0, "bn1": 1, "conv_dw": 3, "bn2": 4, "conv_pwl": 6, "bn3": 7}


def backbone(shapes):
    """See ``origins``. ResNets and DenseNets have torchvision's names."""
    if "conv_stem.weight" in shapes:
        if any(".se." in name for name in shapes) or "blocks.1.0.conv_pwl.weight" not in shapes:
            raise other_mobilenetv3(TITLE)
        return "mobilenet_v2", from_pytorch(shapes, _mobilenetv2_part(shapes))
    if "layer1.0.conv1.weight" in shapes or "features.conv0.weight" in shapes:
        return torchvision.backbone(shapes)
    return None


def their_path(backbone, path):
    """See ``origins``."""
    if not backbone.startswith("mobilenet_v2"):
        return torchvision.their_path(backbone, path)
    parts = path.split(".")
    if len(parts) == 2:
        return {"0": "conv_stem", "1": "bn1"}[parts[1]]
    number = mobilenetv2_number(*parts[:2])
    stage, index = [(s, i) for s, count in enumerate(_STAGES) for i in range(count)][number - 1]
    known = _FIRST if number == 1 else _OTHERS
    part = next(theirs for theirs, ours in known.items() if ours == int(parts[3]))
    return f"blocks.{stage}.{index}.{part}"


def _mobilenetv2_part(shapes):
    """A function: ``blocks.2.0.conv_dw`` -> ``layer2.0.out.3``."""
    blocks = sorted({tuple(map(int, k.split(".")[1:3])) for k in shapes if k[:7] == "blocks."})
    numbers = {block: i for i, block in enumerate(blocks, 1)}

    def rename(path):
        if path in ("conv_stem", "bn1"):
            return "layer1.0" if path == "conv_stem" else "layer1.1"
        if not path.startswith("blocks."):
            return None
        _, stage, index, part = path.split(".")
        number = numbers[int(stage), int(index)]
        return f"{mobilenetv2_block(number)}.out.{(_FIRST if number == 1 else _OTHERS)[part]}"

    return rename
