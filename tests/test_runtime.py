"""The process and its devices."""

import os
import subprocess
import sys

import mxnet as mx
import pytest

from mxnetseg import runtime
from mxnetseg.errors import UsageError


def test_contexts():
    assert runtime.contexts() == [mx.cpu()]
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


def test_doctor():
    lines, ok = runtime.doctor()
    assert ok and any(line.startswith("mxnet") for line in lines)
