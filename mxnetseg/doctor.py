"""What this installation is made of, and whether it works."""

import ctypes
import os
import platform
from importlib import metadata

import mxnet as mx

from . import runtime
from .errors import MXNetSegError


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
    for package in ("gluoncv", "wandb", "safetensors", "torch", "onnx"):
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
