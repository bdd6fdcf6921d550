"""``mxnetseg doctor``: what is installed, and whether it computes what it should."""

import ctypes
import os
import platform
from importlib import metadata

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from . import losses, models, runtime
from .errors import MXNetSegError
from .inference.backend import MXNetBackend
from .inference.merge import segment
from .inference.protocol import Protocol

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RUNTIMES = ("onnx", "onnxruntime", "openvino", "nncf")  # and what writes files for them
TOLERANCE = 2e-3  # of a step's change, relative; devices sum in other orders


def describe():
    """Lines that describe this installation, and whether it is sound: (lines, ok)."""
    lines, ok = [], True

    def version(package):
        try:
            return metadata.version(package)
        except metadata.PackageNotFoundError:
            return None

    lines.append(f"python       {platform.python_version()} ({platform.machine()})")
    lines.append(
        f"mxnet        {mx.__version__} ({'GPU' if runtime.is_gpu_build() else 'CPU'} build)"
    )
    for package in ("numpy", "opencv-python", "pydantic", "PyYAML", "tqdm"):
        lines.append(
            f"{package.lower():12s} {version(package) or 'missing: pip install ' + package}"
        )
    for package in ("gluoncv", "wandb", "safetensors", "torch", *RUNTIMES):
        lines.append(f"{package:12s} {version(package) or 'not installed (optional)'}")
    lines.append(
        f"threads      {os.environ.get('OMP_NUM_THREADS')} of {os.cpu_count()} cores "
        f"(usable: {runtime.usable_cores()})"
    )
    features = mx.runtime.Features()
    lines.append(f"oneDNN       {'yes' if features.is_enabled('MKLDNN') else 'no'}")
    if runtime.is_gpu_build():
        for package, folder, library in runtime.CUDA_LIBRARIES:
            path = runtime.find_cuda_library(folder, library)
            if not path:
                try:
                    ctypes.CDLL(library)
                    path = "the system's"
                except OSError:
                    ok = False
                    path = f"missing: pip install '{package}'"
            lines.append(f"{library:22s} {path}")
    count = runtime.num_gpus()
    lines.append(f"GPUs         {count}")
    for i in range(count):
        card = runtime.gpu_capability(i)
        if card:
            name, (major, minor) = card
            lines.append(
                f"  gpu {i}      {name}, compute capability {major}.{minor}: "
                f"{'fine' if runtime.can_run((major, minor)) else runtime.card_problem(i)}"
            )
            ok = ok and runtime.can_run((major, minor))
    try:
        (mx.nd.ones((2, 2)) * 2).asnumpy()
        lines.append("a sum on CPU works")
    except mx.MXNetError as error:
        raise MXNetSegError(f"MXNet loads but cannot compute: {error}") from error
    return lines, ok


# --- a trial ------------------------------------------------------------------------------------


def attempt(contexts=None):
    """Train a step and segment an image on each device, and compare with the CPU.

    Args:
        contexts: devices; by default every GPU, or the CPU alone, which is then compared with the
            way that GPUs take.

    Returns:
        (lines, ok)
    """
    gpus = [mx.gpu(k) for k in range(runtime.num_gpus()) if runtime.card_problem(k) is None]
    wanted = _step(mx.cpu())
    lines, ok = [], True
    for context in contexts or gpus or [mx.cpu()]:
        with _as_gpu(context):
            try:
                found = _step(context)
            except mx.MXNetError as error:
                lines.append(f"{context}: fails: {str(error).strip().splitlines()[-1]}")
                ok = False
                continue
        problem = _difference(found, wanted)
        lines.append(f"{context}: {problem or 'a training step and an evaluation are right'}")
        ok = ok and problem is None
    return lines, ok


class _as_gpu:
    """A CPU context takes the way of GPUs within; a GPU does so anyway."""

    def __init__(self, context):
        self.active = context.device_type == "cpu"

    def __enter__(self):
        self.before = os.environ.get("MXNETSEG_GPU_PATH")
        if self.active:
            os.environ["MXNETSEG_GPU_PATH"] = "1"

    def __exit__(self, *exception):
        if self.active and self.before is None:
            del os.environ["MXNETSEG_GPU_PATH"]


def _step(context):
    """(loss, {parameter: its change in a step}, class map) of a small network on a device."""
    mx.random.seed(0)
    net = models.create("fcn", 5, backbone="mobilenet_v2_0_25", aux=False)
    start = {n: p.data().asnumpy() for n, p in net._collect_params_with_prefix().items()}
    net.collect_params().reset_ctx([context])
    rng = np.random.RandomState(0)
    pixels = rng.randint(0, 256, (4, 64, 96, 3)).astype(np.uint8)
    labels = rng.randint(0, 5, (4, 64, 96)).astype(np.uint8)
    labels[:, :9] = 255
    backend = MXNetBackend(net, [context], MEAN, STD)
    classes = segment(backend, pixels[0], Protocol(scales=(0.75, 1), flip=True))
    net.upsample_outputs = False
    net.hybridize(static_alloc=True, static_shape=True)
    for _, block in _dropouts(net):
        block._rate = 0  # every device draws its own masks
    loss = losses.create("cross_entropy", net)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    with autograd.record():
        images = backend.normalize.load(pixels, context)
        parts = loss([net(images)], [mx.nd.array(labels, ctx=context, dtype="uint8")])
    autograd.backward(parts)
    trainer.step(1, ignore_stale_grad=True)
    changed = {
        name: parameter.data(context).asnumpy() - start[name]
        for name, parameter in net._collect_params_with_prefix().items()
    }
    return sum(part.asscalar() for part in parts), changed, classes


def _dropouts(net):
    found = []
    net.apply(lambda b: found.append((b.name, b)) if isinstance(b, gluon.nn.Dropout) else None)
    return found


def _difference(found, wanted):
    """What differs, as a sentence; None: nothing that counts."""
    if abs(found[0] - wanted[0]) > TOLERANCE * abs(wanted[0]):
        return f"the loss is {found[0]:.6f}, but {wanted[0]:.6f} on the CPU"
    for name, change in wanted[1].items():
        error = np.abs(found[1][name] - change).max()
        if not error <= TOLERANCE * np.abs(change).max() + 1e-6:
            return f"a training step changes {name} by {error:.2g} more or less than on the CPU"
    agree = (found[2] == wanted[2]).mean()
    if agree < 0.99:
        return f"an evaluation agrees with the CPU in {agree:.1%} of the pixels only"
    return None
