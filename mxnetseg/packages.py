"""Optional packages, or a sentence with the pip command."""

import contextlib
import importlib
import importlib.util
import os
from importlib import metadata

from .errors import UsageError

ONNX = "onnx onnxruntime"


def onnx():
    """The package ``onnx`` with its helpers."""
    package = _load("onnx", ONNX)
    for part in ("checker", "helper", "numpy_helper"):
        _load(f"onnx.{part}", ONNX)
    return package


def onnxruntime():
    """The package ``onnxruntime``."""
    return _load("onnxruntime", ONNX)


def quantization():
    """The part of ``onnxruntime`` that makes networks of integers."""
    onnxruntime()
    return _load("onnxruntime.quantization", ONNX)


def openvino():
    """The package ``openvino``."""
    return _load("openvino", "openvino")


def nncf():
    """The package ``nncf``; what it would tell its makers about its use is off."""
    openvino()
    os.environ.setdefault("NNCF_CI", "1")
    return _load("nncf", "nncf")


def nncf_parameters():
    """The part of ``nncf`` that says how integers are chosen."""
    nncf()
    return _load("nncf.quantization.advanced_parameters", "nncf")


def version(name):
    """The version of a package, without importing it; None where it is not installed."""
    if importlib.util.find_spec(name) is None:
        return None
    for distribution in (name, f"{name}-gpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return getattr(importlib.import_module(name), "__version__", "unknown")


def tensorboard():
    """The package ``tensorboardX``."""
    return _load("tensorboardX", "tensorboardX")


def wandb():
    """The package ``wandb``."""
    return _load("wandb", "wandb")


def jinja2():
    """The package ``jinja2``."""
    return _load("jinja2", "mxnetseg[report]")


def figure():
    """``matplotlib.figure.Figure``, which draws without a screen."""
    _load("matplotlib", "matplotlib")
    return _load("matplotlib.figure", "matplotlib").Figure


def _load(name, packages):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition(".")[0]:
            raise
        raise UsageError(
            f"This needs {error.name}, which is not installed. Run: pip install {packages}"
        ) from None
