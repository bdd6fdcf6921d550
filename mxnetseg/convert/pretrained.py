"""Weights to start from: ImageNet's, or those of any file that holds them."""

from .. import params
from ..backbones import Backbone
from ..backbones.channels import fit_channels
from ..errors import MXNetSegError, UsageError
from . import classifiers, gluoncv

_KEY = "model.backbone_weights"


def load(net, source):
    """Give a network's backbone the weights of ``source``.

    A network with a trunk of its own takes what fits by name and shape, as the originals of SANet
    and PIDNet do: their ImageNet files are of the whole network, for 1000 classes.

    Args:
        net: a network, or a Backbone.
        source: "imagenet" downloads GluonCV's file, if its server still answers; else a path: what
            ``mxnetseg convert`` wrote, a checkpoint, or MXNet parameters of a GluonCV classifier
            or an MXNetSeg network.

    Raises:
        MXNetSegError, UsageError: no such file, not downloadable, or not this backbone's.
    """
    backbone = net if isinstance(net, Backbone) else net.backbone
    if source != "imagenet":
        path = source
    elif backbone is None or backbone.name is None:
        raise UsageError(
            f"GluonCV has no ImageNet weights for {type(net).__name__}: give {_KEY} a file."
        )
    else:
        path = gluoncv.download(backbone.name)
    entries = _read(path)
    if backbone is None:
        _load_fitting(net, entries, path)
    else:
        _load_all(backbone, entries, path)


def _read(path):
    try:
        entries = params.load(path)
    except (OSError, MXNetSegError):
        raise UsageError(
            f"{path} cannot be read as MXNet parameters ({_KEY}). Files of other toolkits are "
            "imported with `mxnetseg convert`."
        ) from None
    if not isinstance(entries, dict):
        raise UsageError(f"{path} is a list of arrays without names ({_KEY}).")
    return {_strip(k): v for k, v in entries.items() if ":" not in _strip(k) and k != "meta"}


def _load_all(backbone, entries, path):
    name = backbone.name or type(backbone).__name__
    if any(key.startswith("features.") for key in entries):
        _, found = classifiers.identify("gluoncv", {k: v.shape for k, v in entries.items()})
        entries = {ours: entries[theirs] for ours, theirs in found.items()}
    parameters = backbone._collect_params_with_prefix()
    entries = _fitted(backbone.adapted(entries), parameters)
    wrong = [k for k, p in parameters.items() if k not in entries or entries[k].shape != p.shape]
    if wrong:
        raise UsageError(
            f"{path} does not hold the weights of backbone '{name}': {len(wrong)} of "
            f"{len(parameters)} entries are missing or of another shape ({wrong[0]} ...)."
        )
    for key, parameter in parameters.items():
        parameter.set_data(entries[key])


def _load_fitting(net, entries, path):
    parameters = net._collect_params_with_prefix()
    entries = _fitted(entries, parameters)
    fitting = {k: p for k, p in parameters.items() if k in entries and entries[k].shape == p.shape}
    if 2 * len(fitting) < len(parameters):
        raise UsageError(
            f"{path} does not hold weights for {type(net).__name__}: only {len(fitting)} of "
            f"{len(parameters)} entries fit by name and shape ({_KEY})."
        )
    for key, parameter in fitting.items():
        parameter.set_data(entries[key])


def _fitted(entries, parameters):
    """The entries, with those of a convolution of RGB images made for other images."""
    return {
        k: fit_channels(v, parameters[k].shape) if k in parameters else v
        for k, v in entries.items()
    }


def _strip(key):
    for prefix in ("backbone.", "arg:", "aux:"):
        if key.startswith(prefix):
            key = key[len(prefix) :]
    return key
