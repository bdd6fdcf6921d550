"""Checkpoints: one file with everything a run, an evaluation or a deployment needs.

The file is MXNet's own format (``mx.nd.load`` reads it; so does Gluon's ``load_parameters`` with
``ignore_extra=True``). It holds

* every parameter under its structured name;
* ``optimizer:<state>:<parameter>``: the optimiser's arrays, where training wrote the file;
* ``meta``: JSON as bytes: network and its options, classes, palette, normalisation, input rules,
  resolved experiment, progress, provenance, checksum;
* the seal of :mod:`.params`, by which any change shows.

A checkpoint appears under its name only when it is complete: it is written beside it, read back,
and renamed.
"""

import copy
import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import mxnet as mx
import numpy as np

from . import models, params, shipped
from .config import PATHS
from .description import from_meta
from .errors import MXNetSegError, UsageError
from .files import replacing
from .version import __version__

FORMAT = 2
"""Since 2 files end with the seal of :mod:`.params`."""

META = "meta"
OPTIMIZER = "optimizer:"


@dataclass
class Checkpoint:
    """A checkpoint in memory.

    Attributes:
        meta: what the file says about itself.
        parameters: {structured name: array}. optimizer: {"<state>:<name>": array}.
        path: where it came from.
    """

    meta: dict
    parameters: dict
    optimizer: dict = field(default_factory=dict)
    path: str = ""

    @property
    def description(self):
        """The Description of the data that the network was trained on."""
        return from_meta(self.meta)

    @property
    def experiment(self):
        """The experiment that it comes from as nested mappings; {} if none is known."""
        return self.meta.get("experiment") or {}

    @property
    def in_integers(self):
        """Whether it is of ``mxnetseg quantize``; see :mod:`mxnetseg.inference.checkpoints`."""
        return self.meta.get("precision") == "int8"


def describe(net, description, **more):
    """The ``meta`` of a checkpoint.

    Args:
        net: the network, made by ``models.create``.
        description: Description of the data that it is trained on.
        more: further JSON entries: experiment, progress, provenance.
    """
    return {
        "version": __version__,
        "network": net.created_with,
        **description.as_meta(),
        "input": {
            "size_divisor": net.size_divisor,
            "size_remainder": net.size_remainder,
            "min_size": net.min_size,
            "fixed_size": net.fixed_size,
        },
        **more,
    }


def save(path, net, meta, optimizer=None):
    """Write a checkpoint; the file that was there stays whole until the new one is.

    Raises:
        MXNetSegError: the folder cannot be written, or the disk is full.
    """
    arrays = values(net)
    arrays.update({OPTIMIZER + name: value for name, value in (optimizer or {}).items()})
    write(path, arrays, meta)


def values(net):
    """The parameters of a network: {structured name: array}, as they are on its first device."""
    return {
        name: p.data(p.list_ctx()[0]).as_in_context(mx.cpu())
        for name, p in net._collect_params_with_prefix().items()
    }


def write(path, arrays, meta):
    """Write arrays and meta as :func:`save` does."""
    path = Path(path)
    meta = {**meta, "format": FORMAT, "checksum": checksum(arrays)}
    text = np.frombuffer(json.dumps(meta).encode("utf-8"), dtype=np.uint8)
    with replacing(path, what="The checkpoint ") as aside:
        try:
            mx.nd.save(str(aside), {**arrays, META: mx.nd.array(text, dtype="uint8")})
            params.seal(aside)
            with open(aside, "rb+") as file:
                os.fsync(file.fileno())
            # MXNet does not report a disk that is full
            read(aside, any_network=True, integers=True)
        except (mx.MXNetError, MXNetSegError):
            raise OSError("is the disk full or the folder read-only?") from None


def read(path, any_network=False, integers=False):
    """Read a checkpoint.

    Args:
        path: a file, or the name of a shipped network.
        any_network: classifiers too, which ``mxnetseg convert`` writes as weights for backbones.
        integers: those of ``mxnetseg quantize`` too, which only run.

    Raises:
        UsageError: there is no such file, or it is no checkpoint of this toolkit.
        MXNetSegError: it is truncated or damaged.
    """
    path = str(path)
    if not os.path.isfile(path):
        path = shipped.find(path) or path
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder: name the file in it, such as best.params.")
    if not os.path.isfile(path):
        also = f" Shipped ones: {', '.join(shipped.names())}." if shipped.names() else ""
        raise UsageError(f"There is no checkpoint {path}.{also}")
    if path.lower().endswith(".xml"):
        raise UsageError(
            f"{path} is OpenVINO's own form, which only OpenVINO reads. Give the .onnx or .params "
            "file; with --runtime openvino they run there."
        )
    if path.lower().endswith(".onnx"):
        raise UsageError(
            f"{path} is an ONNX file: eval, predict and speed take it, nothing else does. Give the "
            "checkpoint that it was exported from."
        )
    arrays = params.load(path)
    if not isinstance(arrays, dict) or META not in arrays:
        raise UsageError(
            f"{path} holds parameters, but does not say of which network. Import it with "
            "`mxnetseg convert`, or use it as model.weights with --model and --backbone."
        )
    try:
        meta = json.loads(arrays.pop(META).asnumpy().tobytes().decode("utf-8"))
        form, expected = meta["format"], meta["checksum"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise MXNetSegError(f"{path} is damaged: its description cannot be read.") from None
    if not (form == 1 or params.is_sealed(path)) or checksum(arrays) != expected:
        raise MXNetSegError(f"{path} is damaged: its checksum does not fit its content.")
    if "network" not in meta and not any_network:
        raise UsageError(
            f"{path} holds the weights of a classifier, which segments nothing: train with "
            f"--set model.backbone_weights={path}."
        )
    optimizer = {
        k[len(OPTIMIZER) :]: arrays.pop(k) for k in list(arrays) if k.startswith(OPTIMIZER)
    }
    halves = {k: v.astype(np.float32) for k, v in arrays.items() if v.dtype == np.float16}
    arrays.update(halves)
    found = Checkpoint(meta, arrays, optimizer, path)
    if found.in_integers and not integers:
        raise UsageError(
            f"{path} holds 8-bit integers: eval, predict and speed take it, nothing else does. "
            "Give the float32 checkpoint that `mxnetseg quantize` made it of."
        )
    return found


def halve(path, out):
    """Write a checkpoint in half the bytes: weights as float16, no state of the optimiser.

    Norms keep float32: running variances span more than float16 does. A file that is read has
    float32 throughout. Where data and weights lay on this machine is left out.

    Raises:
        UsageError, MXNetSegError: see :func:`read`.
    """
    saved = read(path, any_network=True)
    arrays = {
        name: value.astype(np.float16) if value.ndim > 1 else value
        for name, value in saved.parameters.items()
    }
    meta = copy.deepcopy(saved.meta)
    for section, key in (path.split(".") for path in PATHS):
        settings = meta.get("experiment", {}).get(section, {})
        if settings.get(key):
            settings[key] = Path(settings[key]).name if section == "model" else None
    write(out, arrays, meta)


def bare(checkpoint):
    """The network of a checkpoint, without parameters."""
    options = dict(checkpoint.meta["network"])
    return models.create(
        options.pop("name"), options.pop("num_classes"), initialize=False, **options
    )


def network(checkpoint, ctx=None):
    """The network of a checkpoint, with its parameters, ready on ``ctx``."""
    net = bare(checkpoint)
    load_parameters(net, checkpoint.parameters, ctx, checkpoint.path)
    return net


def load_parameters(net, arrays, ctx=None, source="The checkpoint"):
    """Give ``net`` exactly the parameters ``arrays``.

    Raises:
        UsageError: a parameter is missing, left over or of another shape.
    """
    parameters = net._collect_params_with_prefix()
    missing = [n for n in parameters if n not in arrays]
    surplus = [n for n in arrays if n not in parameters]
    wrong = [
        f"{n} is {tuple(arrays[n].shape)}, expected {p.shape}"
        for n, p in parameters.items()
        if n in arrays and tuple(arrays[n].shape) != tuple(p.shape)
    ]
    for what, items in (("of another shape", wrong), ("missing", missing), ("left over", surplus)):
        if items:
            raise UsageError(
                f"{source} does not fit the network {type(net).__name__}: {len(items)} entries are "
                f"{what} ({', '.join(items[:2])}{' ...' if len(items) > 2 else ''})."
            )
    ctx = ctx or [mx.cpu()]
    for name, parameter in parameters.items():
        parameter._load_init(arrays[name], ctx)


def load_fitting(net, arrays, source="The checkpoint"):
    """Give ``net``, which has its parameters, those of ``arrays`` that fit by name and shape.

    Returns:
        The names of the parameters that kept what they had, and of the arrays left over.

    Raises:
        UsageError: nothing fits.
    """
    parameters = net._collect_params_with_prefix()
    fitting = {n for n, p in parameters.items() if n in arrays and arrays[n].shape == p.shape}
    if not fitting:
        raise UsageError(f"{source} has nothing that fits the network {type(net).__name__}.")
    for name in fitting:
        parameters[name].set_data(arrays[name])
    return [n for n in parameters if n not in fitting], [n for n in arrays if n not in fitting]


def checksum(arrays):
    """CRC-32 of {name: array}, whatever their order."""
    total = 0
    for name in sorted(arrays):
        value = arrays[name].asnumpy()
        total = zlib.crc32(
            np.ascontiguousarray(value).data.cast("B"), zlib.crc32(name.encode(), total)
        )
    return total
