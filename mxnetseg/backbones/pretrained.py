"""Weights for a backbone alone: ImageNet's, or those of any file that holds them."""

import mxnet as mx

from ..errors import MXNetSegError, UsageError

# MXNetSeg's names of GluonCV's models, where they differ
_GLUONCV = {
    "resnet18": "resnet18_v1b",
    "resnet34": "resnet34_v1b",
    "resnet50": "resnet50_v1s",
    "resnet101": "resnet101_v1s",
    "resnet152": "resnet152_v1s",
}
# where GluonCV's feature sequences are cut into stages (see the backbones' docstrings)
_CUTS = {"mobilenet_v2": (0, 6, 9, 16, 20)}


def load(backbone, source):
    """Give ``backbone`` the weights of ``source``.

    Args:
        source: "imagenet" downloads GluonCV's file, if its server still answers; else a path of
            MXNet parameters: a GluonCV classifier, an MXNetSeg network, a checkpoint of ours.

    Raises:
        MXNetSegError, UsageError: no such file, not downloadable, or not this backbone's.
    """
    name = backbone.name
    path = _download(name) if source == "imagenet" else source
    try:
        entries = mx.nd.load(path)
    except mx.MXNetError:
        raise UsageError(
            f"{path} cannot be read as MXNet parameters (model.backbone_weights)."
        ) from None
    entries = {_stage_name(name, _strip(k)): v for k, v in entries.items()}
    entries = backbone.adapted(entries)
    parameters = backbone._collect_params_with_prefix()
    wrong = [k for k, p in parameters.items() if k not in entries or entries[k].shape != p.shape]
    if wrong:
        raise UsageError(
            f"{path} does not hold the weights of backbone '{name}': {len(wrong)} of "
            f"{len(parameters)} entries are missing or of another shape ({wrong[0]} ...)."
        )
    for key, parameter in parameters.items():
        parameter.set_data(entries[key])


def _strip(key):
    for prefix in ("backbone.", "arg:", "aux:"):
        if key.startswith(prefix):
            key = key[len(prefix) :]
    return key


def _stage_name(backbone, key):
    """GluonCV's ``features.7.out.0.weight`` -> ``layer2.1.out.0.weight``."""
    cuts = next((c for family, c in _CUTS.items() if backbone.startswith(family)), None)
    parts = key.split(".")
    if cuts is None or parts[0] != "features":
        return key
    index = int(parts[1])
    for stage in range(4):
        if cuts[stage] <= index < cuts[stage + 1]:
            return ".".join([f"layer{stage + 1}", str(index - cuts[stage]), *parts[2:]])
    return key


def _download(name):
    try:
        from gluoncv.model_zoo.model_store import get_model_file
    except ImportError:
        raise UsageError(
            "backbone_weights: imagenet needs GluonCV: pip install gluoncv==0.10.5.post0. Or give "
            "the path of a file."
        ) from None
    try:
        return get_model_file(_GLUONCV.get(name, name))
    except Exception as error:  # GluonCV raises whatever its download meets
        raise MXNetSegError(
            f"GluonCV's ImageNet weights for '{name}' cannot be downloaded "
            f"({str(error).splitlines()[0][:80]}). Give model.backbone_weights the path of a file."
        ) from None
