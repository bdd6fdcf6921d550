"""Ways of running a network: a runtime, and what can be chosen in it."""

from typing import NamedTuple, Optional

import mxnet as mx

from .. import packages, runtime
from ..errors import UsageError
from ..inference import runtimes
from ..inference.backend import MXNetBackend
from ..inference.checkpoints import IntegerBackend
from . import proof


class Way(NamedTuple):
    """How a network is run.

    Attributes:
        runtime: "mxnet", "onnxruntime" or "openvino".
        fused: whether MXNet joins layers; of no meaning for integers.
        static: whether memory and shapes are planned once for each size; None: as the runtime does.
        threads: how many; None: all that the process may use.
        precision: "float32"; "bf16", of OpenVINO; "int8": of a file in integers.
    """

    runtime: str
    fused: bool = False
    static: Optional[bool] = None
    threads: Optional[int] = None
    precision: str = "float32"

    def __str__(self):
        text = self.runtime
        if self.runtime == "mxnet" and self.precision == "float32":
            text += " fused" if self.fused else " not fused"
        if self.static is not None:
            text += " static" if self.static else " dynamic"
        if self.precision != "float32":
            text += f" {self.precision}"
        return text


PRECISIONS = ("float32", "bf16", "int8")

PLAIN = Way("mxnet", fused=False)
"""What the others are held against."""

USUAL = Way("mxnet", fused=True)
"""What is taken where nothing is faster."""


def from_json(value):
    """A Way of what :func:`as_json` gave; None where it is none."""
    kinds = {
        "runtime": (str,), "fused": (bool,), "static": (bool, type(None)), "threads": (int,),
        "precision": (str,),
    }  # fmt: skip
    good = (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(type(value[key]) in kinds[key] for key in kinds)
        and value["runtime"] in ("mxnet", "onnxruntime", "openvino")
        and value["precision"] in PRECISIONS
        and 1 <= value["threads"] <= runtime.thread_limit()
    )
    return Way(**value) if good else None


def as_json(way):
    """A Way as JSON, with the number of threads."""
    return {**way._asdict(), "threads": way.threads or runtime.thread_limit()}


def of(subject, devices=None, quick=False, lower=None):
    """The ways that there are for a Subject, PLAIN first; for an exported file ONNX Runtime's.

    Args:
        devices: as --ctx has them, or None. quick: fewer.
        lower: "bf16": OpenVINO's of that precision besides, whether it can be had or not.
    """
    kind = Way("mxnet", precision=subject.precision)
    if subject.precision == "int8":
        return _of_integers(kind, subject, devices, quick)
    found = []
    if subject.in_mxnet and _contexts(devices) is not None:
        found += [PLAIN]
        if all(c.device_type != "gpu" for c in _contexts(devices)):
            found += [USUAL]
            found += [] if quick else [PLAIN._replace(static=False), USUAL._replace(static=False)]
    if packages.version("onnx") and packages.version("onnxruntime"):
        found += [kind._replace(runtime="onnxruntime")]
    if packages.version("onnx") and packages.version("openvino") and _on_cpu(devices):
        found += _openvino(kind, quick)
    if lower:
        found += _openvino(kind._replace(precision=lower), quick)
    return found


def _of_integers(kind, subject, devices, quick):
    """Of a file that `quantize` wrote; what it was made for comes first."""
    if subject.in_mxnet:
        return [kind, kind._replace(static=False)]
    theirs = _openvino(kind, quick) if packages.version("openvino") and _on_cpu(devices) else []
    first = kind._replace(runtime="onnxruntime")
    if theirs and not _foreign(subject):
        return theirs + ([first] if packages.version("onnxruntime") else [])
    return [first, *theirs]


def _foreign(subject):
    """Whether a file of integers was not made for OpenVINO."""
    return runtimes.made_for(subject.network_file()) != "openvino"


def _openvino(kind, quick):
    dynamic, static = (
        kind._replace(runtime="openvino"),
        kind._replace(runtime="openvino", static=True),
    )
    return [static] if quick else [dynamic, static]


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


def risky(way, subject):
    """Whether a way may end the process, as OpenVINO 2026.4 does for some networks of integers."""
    return way.runtime == "openvino" and way.precision == "int8" and _foreign(subject)


def rounded(subject, way):
    """The backend of a way in float32 with parameters that are rounded to bfloat16."""
    file = proof.rounded(subject.network_file())
    return runtimes.start(way.runtime, file, ["cpu"], way.threads, static=True)


def start(way, subject, devices=None):
    """A backend that runs a Subject in a Way.

    Raises:
        UsageError, MXNetSegError: this way there is not.
    """
    if way.runtime != "mxnet":
        file = subject.network_file()
        lower = way.precision if way.precision != subject.precision else None
        return runtimes.start(way.runtime, file, devices, way.threads, bool(way.static), lower)
    integers = way.precision == "int8"
    contexts = _contexts(["cpu"] if integers and devices is None else devices)
    if way.threads and way.threads != runtime.thread_limit() and contexts == [mx.cpu()]:
        runtime.engine_threads(way.threads)
    if integers:
        backend = IntegerBackend(subject.saved, contexts, static=way.static)
    else:
        net, about = subject.network(contexts), subject.saved.description
        backend = MXNetBackend(net, contexts, about.mean, about.std, way.fused, way.static)
    if way.threads and len(contexts) == 1:
        backend.runtime["threads"] = way.threads
    if way.fused and not backend.fused:
        raise UsageError("MXNet does not join the layers of this network correctly")
    return backend
