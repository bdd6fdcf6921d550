"""ImageNet classifiers of timm (huggingface/pytorch-image-models)."""

from . import torchvision
from .classifiers import from_pytorch, mobilenetv2_block, other_mobilenetv3

TITLE = "timm"
SIGNS = ("conv_stem.weight",)
KNOWN = "resnet18, resnet34, resnet*s (gluon_resnet*_v1s), densenet*, mobilenetv2_100"

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
