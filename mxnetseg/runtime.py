"""The process before MXNet loads, and the devices afterwards.

``mxnetseg/__init__.py`` calls :func:`prepare` first. Nothing here imports MXNet before it is
needed.
"""

import contextlib
import ctypes
import glob
import importlib.util
import os
import platform
import re
import sys
import threading

from .columns import counted
from .errors import UsageError

# What MXNet 1.9.1 reads and NumPy >= 1.24 no longer has.
_NUMPY_NAMES = {
    "bool": bool,
    "object": object,
    "int": int,
    "float": float,
    "complex": complex,
    "str": str,
}

# PyPI package -> library, in the order in which they depend on each other.
CUDA_LIBRARIES = (
    ("nvidia-cuda-runtime-cu11", "cuda_runtime", "libcudart.so.11.0"),
    ("nvidia-nvtx-cu11", "nvtx", "libnvToolsExt.so.1"),
    ("nvidia-cuda-nvrtc-cu11", "cuda_nvrtc", "libnvrtc.so.11.2"),
    ("nvidia-cublas-cu11", "cublas", "libcublasLt.so.11"),
    ("nvidia-cublas-cu11", "cublas", "libcublas.so.11"),
    ("nvidia-cufft-cu11", "cufft", "libcufft.so.10"),
    ("nvidia-curand-cu11", "curand", "libcurand.so.10"),
    ("nvidia-cusolver-cu11", "cusolver", "libcusolver.so.11"),
    ("nvidia-cudnn-cu11<9", "cudnn", "libcudnn.so.8"),
    ("nvidia-nccl-cu11", "nccl", "libnccl.so.2"),
)

# Compute capabilities that the published GPU builds hold machine code for. There is no PTX in
# them, so a newer major version cannot run them: code for x.y runs on x.z, z >= y.
COMPILED_CAPABILITIES = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))


def usable_cores():
    """Cores that this process may use: its affinity, cut by a cgroup's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS or Windows
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, int(quota + 0.5))) if quota else cores


def _cgroup_quota():
    """CPUs' worth of time per period that the cgroup grants, or None."""

    def read(path):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
            return file.read().split()
        return None

    v2 = read("/sys/fs/cgroup/cpu.max")
    if v2 and v2[0] != "max":
        return int(v2[0]) / int(v2[1])
    quota = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota and period and int(quota[0]) > 0:
        return int(quota[0]) / int(period[0])
    return None


def prepare():
    """Let every later ``import mxnet`` of this process work, with all cores. Idempotent.

    MXNet itself is not imported: what only reads data, as a loader's processes do, never needs it.
    """
    if "mxnet" in sys.modules or any(isinstance(f, _MXNetFinder) for f in sys.meta_path):
        return
    # MXNet would use half of the visible cores. OpenMP reads this when the library loads.
    os.environ.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    if _calls_blas_from_many_threads():
        os.environ["OMP_NUM_THREADS"] = "1"  # see share_cores
    sys.meta_path.insert(0, _MXNetFinder())


def use_threads(count):
    """Compute with ``count`` threads, on as many cores, from now on; only before MXNet is imported.

    Raises:
        UsageError: there are not so many cores. RuntimeError: MXNet is imported already.
    """
    if "mxnet" in sys.modules:
        raise RuntimeError("MXNet is imported already: its threads are chosen before.")
    cores = usable_cores()
    if not 1 <= count <= cores:
        raise UsageError(f"There are {cores} cores to use, so 1 to {cores} threads, not {count}.")
    os.environ["OMP_NUM_THREADS"] = str(count)
    with contextlib.suppress(AttributeError):  # not on macOS or Windows
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


class _MXNetFinder:
    """Python asks it for each module that is imported; it has something to say about MXNet only.

    So the process is prepared whoever imports MXNet: this package, a library, or the user.
    """

    def find_spec(self, name, path=None, target=None):
        if name != "mxnet":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is None:
            raise ModuleNotFoundError(
                "MXNet is not installed. Run: pip install -r requirements.txt (CPU) "
                "or pip install -r requirements-gpu.txt (CUDA 11.2)",
                name=name,
            )
        spec.loader = _MXNetLoader(spec.loader)
        return spec


class _MXNetLoader:
    """Python's loader, with what MXNet needs before, and with errors that name the remedy."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self.loader
        restore_numpy_names()
        load_cuda_libraries()
        try:
            with _blas_kernels():
                self.loader.exec_module(module)
        except ModuleNotFoundError as error:
            raise ImportError(_why_no_mxnet(error)) from error
        except OSError as error:
            raise ImportError(_why_no_library(error)) from error
        _watch_contexts(module)


@contextlib.contextmanager
def _blas_kernels():
    """Load MXNet's OpenBLAS within: with AVX2 where the processor has it.

    Version 0.3.13 takes kernels for SSE3 on a processor that it does not know; those for AVX2 make
    a matrix product 2.5 times as fast there.
    """
    if "OPENBLAS_CORETYPE" in os.environ or not {"avx2", "fma"} <= _processor_flags():
        yield
        return
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"
    try:
        yield
    finally:
        del os.environ["OPENBLAS_CORETYPE"]


def _processor_flags():
    """What /proc/cpuinfo says that an x86 processor can do; empty where it is not known."""
    return set(cpuinfo("flags").split()) if platform.machine() in ("x86_64", "AMD64") else set()


def has_avx512():
    """Whether oneDNN finds and may use what it needs to compute in bfloat16, as far as is known."""
    most = os.environ.get("DNNL_MAX_CPU_ISA", "").upper()
    allowed = most in ("", "ALL", "DEFAULT") or most.startswith("AVX512_CORE")
    return allowed and {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= _processor_flags()


def cpuinfo(key):
    """What /proc/cpuinfo says of the first processor; "" where there is no such file or key."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith(key):
                return line.partition(":")[2].strip()
    return ""


def thread_limit():
    """How many threads networks may use: OMP_NUM_THREADS, or the cores of this process."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(given) if given.isdigit() else usable_cores())


def restore_numpy_names():
    """Give NumPy back the names that MXNet 1.9.1 reads; touches only what is missing."""
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise ImportError(
            f"MXNet 1.9.1 needs NumPy < 2, but {numpy.__version__} is installed. "
            "Run: pip install 'numpy<2'"
        )
    for name, thing in _NUMPY_NAMES.items():
        if name not in vars(numpy):
            setattr(numpy, name, thing)


def _why_no_mxnet(error):
    if error.name == "distutils":
        return (
            "MXNet 1.9.1 needs distutils, which Python 3.12 no longer has. "
            "Run: pip install 'setuptools<81'"
        )
    return f"MXNet cannot be imported: {error}"


def _why_no_library(error):
    text = str(error)
    if "libcuda.so" in text:
        return (
            "This is a GPU build of MXNet, but the NVIDIA driver (libcuda.so.1) is missing. "
            "Install the driver, or run: pip uninstall mxnet-cu112; pip install mxnet==1.9.1"
        )
    for package, _, library in CUDA_LIBRARIES:
        if library.split(".so")[0] + ".so" in text:
            return f"MXNet needs {library}. Run: pip install '{package}'"
    return f"MXNet's library cannot be loaded: {text}"


def _nvidia_folders():
    spec = importlib.util.find_spec("nvidia")
    return list(spec.submodule_search_locations or []) if spec else []


def find_cuda_library(folder, library):
    """Path of a CUDA library that a pip package brought, or None."""
    for root in _nvidia_folders():
        hits = glob.glob(os.path.join(root, folder, "lib", library + "*"))
        if hits:
            return sorted(hits)[0]
    return None


def load_cuda_libraries():
    """Load the CUDA 11 libraries of the pip packages, so that mxnet-cu112 needs no toolkit.

    Only if the installed MXNet is a GPU build: a CPU build gains nothing from them.
    """
    if not is_gpu_build():
        return
    for _, folder, library in CUDA_LIBRARIES:
        path = find_cuda_library(folder, library)
        if path:
            with contextlib.suppress(OSError):  # MXNet's own import then names what is missing
                ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)


@contextlib.contextmanager
def without_torch():
    """Import GluonCV within: it refuses to load beside PyTorch 2, which it does not need."""
    torch = sys.modules.get("torch")
    sys.modules["torch"] = None
    try:
        yield
    finally:
        del sys.modules["torch"]
        if torch is not None:
            sys.modules["torch"] = torch


def is_gpu_build():
    """Whether the installed MXNet is one of the mxnet-cuXXX packages; does not import it."""
    from importlib import metadata

    return any(
        (d.metadata["Name"] or "").lower().startswith("mxnet-cu") for d in metadata.distributions()
    )


# --- devices ----------------------------------------------------------------------------------


def on_host(context):
    """Whether NumPy reaches a context's arrays and the ways that suit CPUs are taken there.

    With MXNETSEG_GPU_PATH=1 CPU contexts take the ways of GPUs: so tests run them without a card.
    """
    return context.device_type != "gpu" and os.environ.get("MXNETSEG_GPU_PATH") != "1"


def num_gpus():
    """GPUs that MXNet can use; 0 on a CPU build."""
    import mxnet as mx

    try:
        return mx.context.num_gpus()
    except mx.MXNetError:  # a GPU build without a working driver
        return 0


def gpu_capability(index):
    """(name, (major, minor)) of GPU ``index`` from the driver, or None if it does not say."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name = ctypes.create_string_buffer(256)
    if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index):
        return None
    cuda.cuDeviceGetName(name, len(name), device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device)
    return name.value.decode(), (major.value, minor.value)


def can_run(capability):
    """Whether the published GPU builds hold code for a card of this compute capability."""
    return any(m == capability[0] and n <= capability[1] for m, n in COMPILED_CAPABILITIES)


def contexts(spec=None):
    """The devices to work on, as a list of ``mx.Context``.

    Args:
        spec: ``None``: GPU 0 if there is one, else the CPU. A list of GPU numbers and/or "cpu";
            ``["cpu", "cpu"]`` gives two CPU contexts, the same code path as two GPUs. One context
            uses all cores; of several, each uses one.

    Raises:
        UsageError: a GPU that does not exist or that MXNet cannot run on, or a word that is no
            device.
    """
    import mxnet as mx

    if spec is None:
        return [mx.gpu(0)] if num_gpus() and card_problem(0) is None else [mx.cpu()]
    found = []
    for item in spec if isinstance(spec, (list, tuple)) else [spec]:
        match = re.fullmatch(r"(cpu)(?:\(\d+\))?|(?:gpu)?\(?(\d+)\)?", str(item).lower())
        if match and match.group(1):
            # one id per entry: Gluon keeps one copy of the parameters per distinct context
            found.append(mx.cpu(sum(c.device_type == "cpu" for c in found)))
        elif match:
            found.append(_gpu(int(match.group(2))))
        else:
            raise UsageError(f"'{item}' is no device. Use GPU numbers (--ctx 0 1) or --ctx cpu.")
    if len(set(found)) != len(found):
        raise UsageError(f"The same GPU is named twice: {' '.join(map(str, spec))}.")
    share_cores(found)
    return found


# --- several CPU contexts ---------------------------------------------------------------------

_sharing = set()  # numbers of the CPU contexts whose products take one thread
_sharing_lock = threading.Lock()


class _Context(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("number", ctypes.c_int)]


def share_cores(contexts):
    """Let each of several CPU contexts work with one thread from now on.

    Every CPU context has an engine thread. MXNet's OpenBLAS waits for ever when two of them begin
    a product in several threads at the same time: its ``exec_blas`` was compiled to read "busy"
    once and then jump to itself. How many threads a product takes is a property of the engine
    thread, so it is set there.
    """
    numbers = {c.device_id for c in contexts if c.device_type.startswith("cpu")}
    if len(numbers) < 2:
        return
    with _sharing_lock:
        for number in numbers - _sharing:
            engine_threads(1, number)
            _sharing.add(number)


def engine_threads(count, number=0):
    """Let the CPU context ``number`` compute with so many threads from now on.

    oneDNN plans an operator for the threads of its first use, so do this before a network runs.
    """
    from mxnet.base import _LIB, check_call

    callback, done = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p), threading.Event()

    def work(*_):
        _LIB.omp_set_num_threads(count)
        done.set()

    job, where = callback(work), ctypes.byref(_Context(1, number))
    check_call(_LIB.MXEnginePushSync(job, None, None, where, None, 0, None, 0, None, 0, None))
    done.wait()


def _watch_contexts(mxnet):
    """Have every ``mx.cpu(k)`` of the process that is not the first call :func:`share_cores`."""
    make = mxnet.context.cpu

    def cpu(device_id=0):
        if device_id > 0:
            share_cores([make(), make(device_id)])
        return make(device_id)

    cpu.__doc__ = make.__doc__
    mxnet.cpu = mxnet.context.cpu = cpu


def _calls_blas_from_many_threads():
    """Whether the user chose an engine that has several threads for one CPU context, or none."""
    environment = os.environ
    return environment.get("MXNET_CPU_WORKER_NTHREADS", "1") != "1" or environment.get(
        "MXNET_ENGINE_TYPE", ""
    ) not in ("", "ThreadedEnginePerDevice")


def _gpu(index):
    import mxnet as mx

    count = num_gpus()
    if index >= count:
        if not mx.runtime.Features().is_enabled("CUDA"):
            raise UsageError(
                f"GPU {index} was asked for, but this MXNet is built for CPUs only. Use --ctx cpu, "
                "or install the GPU build: pip uninstall mxnet; "
                "pip install -r requirements-gpu.txt"
            )
        has = "no GPU is visible" if count == 0 else f"only {counted(count, 'GPU')} can be seen"
        raise UsageError(
            f"GPU {index} was asked for, but {has}. Use --ctx cpu or a lower number, or check "
            "nvidia-smi and CUDA_VISIBLE_DEVICES."
        )
    problem = card_problem(index)
    if problem:
        raise UsageError(problem)
    return mx.gpu(index)


def card_problem(index):
    """Why MXNet cannot run on GPU ``index``, with the remedy; None if it can."""
    card = gpu_capability(index)
    if card is None or can_run(card[1]):
        return None
    return (
        f"GPU {index} ({card[0]}, compute capability {card[1][0]}.{card[1][1]}) cannot run "
        "MXNet's published builds, which hold code for 5.x to 8.x only. Use --ctx cpu."
    )
