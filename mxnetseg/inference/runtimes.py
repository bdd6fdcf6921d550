"""ONNX Runtime and OpenVINO as backends of evaluation; see :mod:`~mxnetseg.inference.backend`."""

import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from ..errors import MXNetSegError, UsageError
from ..nn.normalize import on_cpu, scale_and_shift
from ..packages import onnxruntime, openvino, version
from ..runtime import thread_limit
from .backend import fitting_size
from .onnxfile import size_rules

CUDA = "CUDAExecutionProvider"
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}
"""For OpenVINO, which takes bfloat16 by itself where the processor has it."""
BF16 = {"INFERENCE_PRECISION_HINT": "bf16"}


class _Pending:
    """Logits that are being computed; what ``logits.read`` takes."""

    def __init__(self, future):
        self._future = future

    def asnumpy(self):
        return np.asarray(self._future.result(), np.float32)


class RuntimeBackend:
    """Runs a NetworkFile in another runtime.

    Args:
        file: NetworkFile.
        devices: "cpu" or the number of a GPU, each.
        start: function of (NetworkFile, device, threads) -> (function of an image batch, facts): a
            network that is ready on a device, and ``runtime``'s entries.
        threads: for each device; by default they share the cores.
    """

    def __init__(self, file, devices, start, threads=None):
        about = file.checkpoint.description
        self.num_classes = about.num_classes
        self.align_corners = file.meta["inner"]["align_corners"]
        self.fill = [255 * m for m in about.mean]
        self.devices = len(devices)
        self._name, self._rules = file.meta["network"]["name"], size_rules(file.meta)
        self._normalization = scale_and_shift(about.mean, about.std)
        threads = threads or _threads(len(devices))
        started = [start(file, device, threads) for device in devices]
        self._run = [run for run, _ in started]
        self._workers = [ThreadPoolExecutor(1) for _ in devices]
        precision = file.meta.get("precision", "float32")
        self.runtime = {"precision": precision, **started[0][1], "threads": threads}

    def __call__(self, images, padded=None, context=0):
        """Start the network on a batch; does not wait. See ``MXNetBackend``."""
        x = self.normalized(images, padded)
        return _Pending(self._workers[context].submit(self._forward, context, x))

    def _forward(self, context, x):
        try:
            return self._run[context](x)
        except Exception as error:  # the runtimes' own kinds
            size = "x".join(map(str, x.shape))
            raise MXNetSegError(
                f"{self.runtime['name']} fails for images of {size}: {reason_of(error)}"
            ) from None

    def run(self, x):
        """The logits for what :meth:`normalized` gave, on the first device."""
        return self._forward(0, x)

    def normalized(self, images, padded=None):
        """What the network is given for a batch: float32 (N, C, rows, columns)."""
        height, width = images.shape[1:3]
        rows, columns = self.padded_size(*(padded or (height, width)))
        x = on_cpu(images, *self._normalization)
        if (rows, columns) != (height, width):
            x = np.pad(x, ((0, 0), (0, 0), (0, rows - height), (0, columns - width)))
        return x

    def padded_size(self, height, width):
        """The size that the network sees for an image of (height, width)."""
        return fitting_size(self._rules, height, width, self._name)


def _onnxruntime_session(file, device, threads):
    package = onnxruntime()
    options = package.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors; they become sentences
    providers = ["CPUExecutionProvider"]
    if device != "cpu":
        if CUDA not in package.get_available_providers():
            raise UsageError(
                f"GPU {device}: this ONNX Runtime has no CUDA. Run: pip uninstall onnxruntime; pip "
                "install onnxruntime-gpu. Or give --ctx cpu."
            )
        providers = [(CUDA, {"device_id": device}), *providers]
    try:
        session = package.InferenceSession(
            file.model.SerializeToString(), options, providers=providers
        )
    except Exception as error:  # of kinds of its own
        raise _refused(file, "ONNX Runtime", package.__version__, error) from None
    used = session.get_providers()[0]
    if device != "cpu" and used != CUDA:
        raise UsageError(
            f"ONNX Runtime cannot use GPU {device}: driver, CUDA and cuDNN have to fit "
            f"onnxruntime-gpu {package.__version__}. Or give --ctx cpu."
        )
    name = session.get_inputs()[0].name

    def run(x):
        return session.run(None, {name: x})[0]

    return run, {"name": "onnxruntime", "version": package.__version__, "provider": used}


STATIC_SIZES = 4  # each has a compiled network of its own


def _openvino_request(file, device, threads, static=False, precision=None):
    if device != "cpu":
        raise UsageError("OpenVINO works on the CPU here: give --ctx cpu.")
    package = openvino()
    version = package.__version__.split("-")[0]
    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        **(BF16 if precision else FLOAT32),
    }
    core, facts = package.Core(), {"name": "openvino", "version": version}
    if precision:
        facts["precision"] = precision
        if not has_bfloat16(core):
            raise UsageError(
                "This processor has no bfloat16 (AVX-512 BF16 or AMX): drop --precision bf16."
            )

    def compiled(shape=None):
        network = core.read_model(file.model.SerializeToString())
        if shape:
            network.reshape(list(shape))
        return core.compile_model(network, "CPU", options).create_infer_request()

    try:
        request = None if static else compiled()
    except Exception as error:
        raise _refused(file, "OpenVINO", version, error) from None
    if not static:
        return lambda x: request.infer([x])[0], facts
    requests, integers = {}, file.meta.get("precision") == "int8"

    def run(x):
        shape = x.shape
        if shape not in requests and len(requests) >= STATIC_SIZES:
            if integers:  # right for one size does not mean right for any
                requests.pop(next(iter(requests)))
            else:
                shape = None  # one network for all other sizes
        if shape not in requests:
            requests[shape] = compiled(shape)
        return requests[shape].infer([x])[0]

    return run, {**facts, "static": True}


def has_bfloat16(core):
    """Whether OpenVINO's ``Core`` finds bfloat16 on this processor."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _refused(file, runtime, version, error):
    what = file.path or "the network"
    return MXNetSegError(f"{runtime} {version} refuses {what}: {reason_of(error)}")


_PLACE = re.compile(  # in the runtimes' own code, which says nothing to anybody else
    r"^(Exception from |Check '.*' failed at |FrontEnd API failed|Loading input model$).*"
    r"|^\[ONNXRuntimeError\] : \d+ : \w+ : |^/onnxruntime_src/.*?\) (?=[A-Z])"
)


def reason_of(error):
    """The first line of a runtime's message that tells a reason, short enough for a sentence."""
    for line in str(error).splitlines():
        reason = _PLACE.sub("", _PLACE.sub("", line.strip()))
        if reason:
            return reason if len(reason) <= 200 else reason[:200] + " ..."
    return type(error).__name__


_STARTS = {"onnxruntime": _onnxruntime_session, "openvino": _openvino_request}


def start(runtime, file, devices=None, threads=None, static=False, precision=None):
    """A backend that runs a NetworkFile.

    Args:
        runtime: "onnxruntime" or "openvino".
        devices: list of GPU numbers and "cpu", as --ctx has them; each gets a session, CPUs share
            the cores. None: GPU 0 if ONNX Runtime has CUDA, else the CPU.
        threads: for each device. static: OpenVINO compiles for each size of input, up to four;
            that is faster where all images have one size.
        precision: "bf16", of OpenVINO; None: as the file is.

    Raises:
        UsageError: the runtime is missing, or cannot use a device; the processor has no bfloat16.
        MXNetSegError: it refuses the network.
    """
    if devices is None:
        gpu = runtime == "onnxruntime" and CUDA in onnxruntime().get_available_providers()
        devices = [0 if gpu else "cpu"]
    wishes = {"static": static, "precision": precision}
    starting = partial(_STARTS[runtime], **{k: v for k, v in wishes.items() if v})
    return RuntimeBackend(file, [_device(item) for item in devices], starting, threads)


def made_for(file):
    """The runtime that a NetworkFile was written for, if it is installed; else ONNX Runtime."""
    about = file.meta.get("quantization")
    name = about.get("runtime") if isinstance(about, dict) else None
    return name if name in list(_STARTS) and version(name) else "onnxruntime"


def _device(text):
    """ "cpu" or the number of a GPU."""
    found = re.fullmatch(r"(cpu)(?:\(\d+\))?|(?:gpu)?\(?(\d+)\)?", str(text).lower())
    if not found:
        raise UsageError(f"'{text}' is no device. Use GPU numbers (--ctx 0 1) or --ctx cpu.")
    return found.group(1) or int(found.group(2))


def _threads(devices):
    """For each of some devices; OMP_NUM_THREADS limits their sum, as in MXNet."""
    return max(1, thread_limit() // devices)
