"""Ways of running a network: a runtime, and what can be chosen in it."""

from typing import NamedTuple, Optional

import mxnet as mx

from .. import packages, runtime
from ..errors import UsageError
from ..inference import runtimes
from ..inference.backend import MXNetBackend


class Way(NamedTuple):
    """How a network is run.

    Attributes:
        runtime: "mxnet", "onnxruntime" or "openvino".
        fused: whether MXNet joins layers.
        static: whether memory and shapes are planned once for each size; None: as the runtime does.
        threads: how many; None: all that the process may use.
    """

    runtime: str
    fused: bool = False
    static: Optional[bool] = None
    threads: Optional[int] = None

    def __str__(self):
        text = self.runtime
        if self.runtime == "mxnet":
            text += " fused" if self.fused else " not fused"
        if self.static is not None:
            text += " static" if self.static else " dynamic"
        return text


PLAIN = Way("mxnet", fused=False)
"""What the others are held against."""

USUAL = Way("mxnet", fused=True)
"""What is taken where nothing is faster."""


def from_json(value):
    """A Way of what :func:`as_json` gave; None where it is none."""
    kinds = {"runtime": (str,), "fused": (bool,), "static": (bool, type(None)), "threads": (int,)}
    good = (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(type(value[key]) in kinds[key] for key in kinds)
        and value["runtime"] in ("mxnet", "onnxruntime", "openvino")
        and 1 <= value["threads"] <= runtime.thread_limit()
    )
    return Way(**value) if good else None


def as_json(way):
    """A Way as JSON, with the number of threads."""
    return {**way._asdict(), "threads": way.threads or runtime.thread_limit()}


def of(subject, devices=None, quick=False):
    """The ways that there are for a Subject, PLAIN first; for an exported file ONNX Runtime's.

    Args:
        devices: as --ctx has them, or None. quick: fewer.
    """
    found = []
    if subject.in_mxnet and _contexts(devices) is not None:
        found += [PLAIN]
        if all(c.device_type != "gpu" for c in _contexts(devices)):
            found += [USUAL]
            found += [] if quick else [PLAIN._replace(static=False), USUAL._replace(static=False)]
    if packages.version("onnx") and packages.version("onnxruntime"):
        found += [Way("onnxruntime")]
    if packages.version("onnx") and packages.version("openvino") and _on_cpu(devices):
        found += [] if quick else [Way("openvino")]
        found += [Way("openvino", static=True)]
    return found


def _on_cpu(devices):
    return all(str(device).lower().startswith("cpu") for device in devices or ["cpu"])


def _contexts(devices):
    """MXNet's devices; None where only another runtime can use them."""
    try:
        return runtime.contexts(devices)
    except UsageError:
        if packages.version("onnxruntime") and runtimes.CUDA in _providers():
            return None
        raise


def _providers():
    return packages.onnxruntime().get_available_providers()


def start(way, subject, devices=None):
    """A backend that runs a Subject in a Way.

    Raises:
        UsageError, MXNetSegError: this way there is not.
    """
    if way.runtime != "mxnet":
        file = subject.network_file()
        return runtimes.start(way.runtime, file, devices, way.threads, bool(way.static))
    contexts = _contexts(devices)
    about = subject.saved.description
    if way.threads and way.threads != runtime.thread_limit() and contexts == [mx.cpu()]:
        runtime.engine_threads(way.threads)
    net = subject.network(contexts)
    backend = MXNetBackend(net, contexts, about.mean, about.std, way.fused, way.static)
    if way.threads and len(contexts) == 1:
        backend.runtime["threads"] = way.threads
    if way.fused and not backend.fused:
        raise UsageError("MXNet does not join the layers of this network correctly")
    return backend
