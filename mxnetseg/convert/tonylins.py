"""MobileNetV2 of tonylins/pytorch-mobilenet-v2: torchvision's network under other names.

Its blocks are one sequence each, numbered as ours: ``features.4.conv.3`` is the depthwise
convolution of the fourth. What comes behind the last block (a 1 x 1 convolution, the classifier)
has no use here, and may be missing.
"""

from .classifiers import from_pytorch, mobilenetv2_block

TITLE = "tonylins/pytorch-mobilenet-v2"
SIGNS = ("features.17.conv.6.weight",)
KNOWN = "mobilenet_v2 of width 1"


def backbone(shapes):
    """See ``origins``."""
    if "features.17.conv.6.weight" not in shapes:
        return None
    return "mobilenet_v2", from_pytorch(shapes, _part)


def _part(path):
    """``features.4.conv.3`` -> ``layer2.0.out.3``."""
    parts = path.split(".")
    if parts[0] != "features":
        return None
    if parts[1] == "0":
        return f"layer1.{parts[2]}"
    block = mobilenetv2_block(int(parts[1]))
    return block and f"{block}.out.{parts[3]}"
