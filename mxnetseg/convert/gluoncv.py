"""ImageNet classifiers of GluonCV: their names are ours, but for the feature sequences.

Those are cut where the maps of our backbones come out.
"""

from ..errors import MXNetSegError, UsageError
from ..runtime import without_torch
from .torchvision import check_resnet

TITLE = "GluonCV"
# its ResNets and Xceptions have the names of MXNetSeg, which took them from here
SIGNS = ("features.4.0.1.0.gamma", "features.3.out.0.weight")
KNOWN = "resnet*_v1b (18, 34), resnet*_v1s, resnest*, densenet*, mobilenet_v2_*, xception65"

# {our part: the items of ``features`` in it}
_DENSENET = {
    "stem": range(4),
    "layer1": range(4, 5),
    "layer2": range(5, 7),
    "layer3": range(7, 9),
    "layer4": range(9, 13),
}
_MOBILENETV2 = {
    "layer1": range(6),
    "layer2": range(6, 9),
    "layer3": range(9, 16),
    "layer4": range(16, 20),
}
# our backbones -> GluonCV's models, where the names differ
_MODELS = {
    "resnet18": "resnet18_v1b",
    "resnet34": "resnet34_v1b",
    "resnet50": "resnet50_v1s",
    "resnet101": "resnet101_v1s",
    "resnet152": "resnet152_v1s",
}


def backbone(shapes):
    """See ``origins``."""
    if "layer1.0.conv1.weight" in shapes:
        check_resnet(shapes)
        family = "resnest" if "layer1.0.conv2.conv.weight" in shapes else "resnet"
        return family, {k: k for k in shapes if not k.startswith("fc.")}
    if "features.4.0.1.0.gamma" in shapes:
        return "densenet", _cut(shapes, _DENSENET)
    if "features.3.out.0.weight" in shapes:
        return "mobilenet_v2", _cut(shapes, _MOBILENETV2)
    if any(k.startswith("midflow.") for k in shapes):
        return "xception65", {k: k for k in shapes if not k.startswith("fc.")}
    return None


def download(backbone):
    """The path of GluonCV's ImageNet weights for a backbone, downloaded if need be.

    Raises:
        UsageError: GluonCV is not there or does not start. MXNetSegError: the download failed.
    """
    try:
        with without_torch():
            from gluoncv.model_zoo.model_store import get_model_file
    except ImportError:
        raise UsageError(
            "backbone_weights: imagenet needs GluonCV: pip install gluoncv==0.10.5.post0. Or give "
            "the path of a file."
        ) from None
    except RuntimeError:
        raise UsageError(
            "backbone_weights: imagenet needs GluonCV, which does not work beside PyTorch 2. Give "
            "the path of a file, for example one made by `mxnetseg convert --from timm`."
        ) from None
    try:
        return get_model_file(_MODELS.get(backbone, backbone))
    except Exception as error:  # GluonCV raises whatever its download meets
        raise MXNetSegError(
            f"GluonCV's ImageNet weights for '{backbone}' cannot be downloaded "
            f"({str(error).splitlines()[0][:80]}). Give model.backbone_weights the path of a file."
        ) from None


def _cut(shapes, pieces):
    out = {}
    for key in shapes:
        parts = key.split(".")
        if parts[0] == "features":
            for name, items in pieces.items():
                if int(parts[1]) in items:
                    out[".".join([name, str(items.index(int(parts[1]))), *parts[2:]])] = key
    return out
