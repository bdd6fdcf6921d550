"""The process and its devices."""

import os
import subprocess
import sys

import mxnet as mx
import pytest

from mxnetseg import doctor, runtime
from mxnetseg.errors import UsageError


def test_contexts():
    usable = runtime.num_gpus() > 0 and runtime.card_problem(0) is None
    assert runtime.contexts() == [mx.gpu(0) if usable else mx.cpu()]
    assert runtime.contexts(["cpu"]) == [mx.cpu(0)]
    assert runtime.contexts(["cpu", "cpu"]) == [mx.cpu(0), mx.cpu(1)]
    with pytest.raises(UsageError, match="no device"):
        runtime.contexts(["tpu"])


@pytest.mark.skipif(runtime.num_gpus() > 0, reason="there is a GPU")
def test_a_missing_gpu_names_the_cause_and_the_way_out():
    with pytest.raises(UsageError, match="GPU 0 was asked for.*--ctx cpu"):
        runtime.contexts([0, 1])


@pytest.mark.parametrize(
    "capability, runs",
    [((5, 2), True), ((6, 1), True), ((7, 5), True), ((8, 9), True), ((9, 0), False),
     ((3, 5), False), ((12, 0), False)],
)  # fmt: skip
def test_cards_that_the_published_builds_have_code_for(capability, runs):
    assert runtime.can_run(capability) == runs


def _threads(**environment):
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    code = "import mxnetseg, os; print(os.environ['OMP_NUM_THREADS'])"
    out = subprocess.run(
        [sys.executable, "-c", code], env={**env, **environment}, capture_output=True, text=True
    )
    return int(out.stdout)


def test_all_usable_cores_work_unless_the_user_says_otherwise():
    assert _threads() == runtime.usable_cores()
    assert _threads(OMP_NUM_THREADS="1") == 1


def _python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_the_package_its_data_and_its_command_line_leave_mxnet_alone():
    code = "import mxnetseg.data, mxnetseg.cli.main, sys; print('mxnet' in sys.modules)"
    assert _python(code).stdout == "False\n"


@pytest.mark.parametrize("first", ["", "import mxnetseg.models; "])
def test_mxnet_is_prepared_whoever_imports_it(first):
    found = _python(
        "import os; os.environ.pop('OMP_NUM_THREADS', None)\n"
        f"import mxnetseg, numpy; {first}import mxnet\n"
        "print(os.environ['OMP_NUM_THREADS'], mxnet.nd.ones(1).asscalar(), numpy.bool)"
    )
    assert found.stdout == f"{runtime.usable_cores()} 1.0 <class 'bool'>\n", found.stderr


def test_a_missing_mxnet_names_the_remedy(monkeypatch):
    finder = next(f for f in sys.meta_path if type(f).__module__ == runtime.__name__)
    monkeypatch.setattr(sys, "meta_path", [finder])
    with pytest.raises(ModuleNotFoundError, match="pip install -r requirements.txt"):
        finder.find_spec("mxnet")
    assert finder.find_spec("another") is None


# Products of the size at which MXNet's OpenBLAS takes several threads, on two contexts at once.
PRODUCTS = """
import time, mxnetseg.runtime, mxnet as mx
contexts = {}
arrays = [mx.nd.ones((300, 300), ctx=c) for c in contexts]
begin = time.time()
while time.time() - begin < 2:
    products = [mx.nd.dot(a, a) for _ in range(20) for a in arrays]
    mx.nd.waitall()
print("done")
"""


@pytest.mark.parametrize(
    "contexts, environment",
    [
        ("mxnetseg.runtime.contexts(['cpu', 'cpu', 'cpu'])", {}),
        ("[mx.cpu(0), mx.cpu(1)]", {}),
        ("[mx.cpu(0)]", {"MXNET_CPU_WORKER_NTHREADS": "2"}),
    ],
)
def test_products_on_several_threads_of_the_engine_come_to_an_end(contexts, environment):
    env = {**os.environ, "OMP_NUM_THREADS": "2", **environment}
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTS.replace("{}", contexts)], env=env, timeout=100,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == "done\n", done.stderr


def test_matrix_products_use_what_the_processor_has():
    if not {"avx2", "fma"} <= runtime._processor_flags():
        pytest.skip("this processor has no AVX2, or does not say so")
    code = (
        "import mxnetseg, mxnet, ctypes, os\n"
        "name = mxnet.base._LIB.openblas_get_corename\n"
        "name.restype = ctypes.c_char_p\n"
        "print(name().decode(), os.environ.get('OPENBLAS_CORETYPE'))"
    )
    env = {k: v for k, v in os.environ.items() if k != "OPENBLAS_CORETYPE"}
    assert _output(code, env).split() == ["Haswell", "None"]
    assert _output(code, {**env, "OPENBLAS_CORETYPE": "Zen"}).split() == ["Zen", "Zen"]


def _output(code, env):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=env, capture_output=True, text=True).stdout


def test_doctor():
    lines, ok = doctor.describe()
    assert ok and any(line.startswith("mxnet") for line in lines)


def test_a_trial_finds_a_device_that_computes_wrongly(monkeypatch):
    lines, ok = doctor.attempt()
    assert ok and "right" in lines[0]
    step = doctor._step

    def wrong(context):
        loss, changed, classes = step(context)
        return loss, {n: 1.01 * c for n, c in changed.items()}, classes

    steps = iter((step, wrong))
    monkeypatch.setattr(doctor, "_step", lambda context: next(steps)(context))
    lines, ok = doctor.attempt([mx.cpu()])
    assert not ok and "more or less than on the CPU" in lines[0]
