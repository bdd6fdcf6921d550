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


def test_doctor():
    lines, ok = runtime.doctor()
    assert ok and any(line.startswith("mxnet") for line in lines)
