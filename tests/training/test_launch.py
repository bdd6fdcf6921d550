"""A group through the real command: its step is that of one process, and it ends together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mxnetseg import checkpoint

from .test_trainer import difference

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

TRAIN = [
    "train", "--config", "experiment.yaml", "--ctx", "cpu",
]  # fmt: skip
EXPERIMENT = """
model: {name: semanticfpn, backbone: resnet18, norm: group}
data: {name: synthetic, options: {size: [32, 48], scenes: 40}, workers: 1}
train: {crop_size: 32, batch_size: 8, epochs: 4, validate_every: 2, log_interval: 1}
optim: {lr: 0.01}
"""
MINUTE = 60


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    return tmp_path


def start(*command):
    """Begin ``mxnetseg ...``; what it says is kept together."""
    return subprocess.Popen(
        [sys.executable, "-m", "mxnetseg", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def finished(process, code=0, within=240):
    text, _ = process.communicate(timeout=within)
    assert process.returncode == code, text
    return text


def member(launcher, role, rank=None):
    """The process number of one that a launcher started."""
    for child in Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split():
        variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        wanted = {f"DMLC_ROLE={role}".encode()}
        if rank is not None:
            wanted.add(f"MXNETSEG_RANK={rank}".encode())
        if wanted <= set(variables):
            return int(child)
    raise AssertionError(f"no {role} {rank}")


def records(out):
    path = Path(out, "log.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def wait_for_step(process, out, step):
    end = time.monotonic() + 180
    while not any(record["step"] >= step for record in records(out)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_workers_make_the_steps_of_one(folder):
    group = start("launch", "--workers", "2", "--servers", "2", "--", *TRAIN, "--out", "two")
    text = finished(group)
    assert text.count("training semanticfpn") == 1 and "2 workers" in text
    finished(start(*TRAIN, "--out", "one"))
    assert checkpoint.read("two/last.params").meta["progress"]["step"] == 20
    assert difference("two/last.params", "one/last.params") < 1e-5
    losses = [[r["loss"] for r in records(out) if "loss" in r] for out in ("one", "two")]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4) and len(losses[0]) == 20
    scores = [[r["miou"] for r in records(out) if "miou" in r] for out in ("one", "two")]
    assert scores[1] == pytest.approx(scores[0], abs=1e-3) and len(scores[0]) == 2


@pytest.mark.parametrize("role, rank", [("worker", 1), ("worker", 0), ("server", None)])
def test_whoever_is_killed_ends_all_and_the_run_goes_on(folder, role, rank):
    long = [*TRAIN, "--out", "run", "--epochs", "400"]
    group = start("launch", "--workers", "2", "--", *long, "--set", "train.save_minutes=0.001")
    wait_for_step(group, "run", 3)
    victim = member(group, role, rank)
    os.kill(victim, signal.SIGKILL)
    begin = time.monotonic()
    text = finished(group, 1)
    assert time.monotonic() - begin < MINUTE
    assert f"{role} {rank or 0} on host {os.uname().nodename} (process {victim}) died" in text
    stand = checkpoint.read("run/last.params").meta["progress"]["step"]
    assert stand > 0
    go_on = ["train", "--resume", "run/last.params", "--set", "train.stop_after=2"]
    if rank == 1:
        go_on = ["launch", "--workers", "2", "--", *go_on]
    elif stand >= 10:
        return
    finished(start(*go_on))
    assert checkpoint.read("run/last.params").meta["progress"]["step"] >= 10


def test_a_killed_scheduler_ends_all(folder):
    group = start("launch", "--workers", "2", "--", *TRAIN, "--out", "run", "--epochs", "400")
    wait_for_step(group, "run", 1)
    os.kill(member(group, "scheduler"), signal.SIGKILL)
    begin = time.monotonic()
    assert "the scheduler at 127.0.0.1:" in finished(group, 1)
    assert time.monotonic() - begin < MINUTE


@pytest.mark.parametrize("whom", ["launcher", "worker"])
def test_a_signal_to_one_stops_all_at_the_same_step(folder, whom):
    group = start("launch", "--workers", "2", "--", *TRAIN, "--out", "run", "--epochs", "400")
    wait_for_step(group, "run", 3)
    os.kill(group.pid if whom == "launcher" else member(group, "worker", 1), signal.SIGTERM)
    text = finished(group, 143)
    assert text.count("The run is saved; continue with --resume run/last.params") == 1
    step = checkpoint.read("run/last.params").meta["progress"]["step"]
    assert step == records("run")[-1]["step"]
    # on with one worker: 4 epochs in all are the 4 epochs of an undisturbed run
    if step < 20:
        settings = ["--set", "train.epochs=400", "train.stop_after=4"]
        finished(start("train", "--resume", "run/last.params", *settings))
        finished(start(*TRAIN, "--out", "whole", "--epochs", "400", "--set", "train.stop_after=4"))
        assert difference("run/last.params", "whole/last.params") < 1e-5


@pytest.mark.parametrize("when", ["importing", "building"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_training_stops_all(folder, when, number):
    group = start("launch", "--workers", "2", "--", *TRAIN, "--out", "run", "--epochs", "400")
    if when == "building":  # worker 0 says so before it builds network and data
        assert "training semanticfpn" in group.stdout.readline()
    else:
        end = time.monotonic() + 60
        while not _started(group):
            assert time.monotonic() < end
    os.kill(member(group, "worker", 1), number)
    text = finished(group, 128 + number)
    assert "died" not in text
    said = "The run is saved" if when == "building" else "Stopped before"
    assert text.count(said) == 1 and text.count("mxnetseg:") == 1


def _started(group):
    """Whether worker 1, the last one that a launcher starts, is there."""
    try:
        return member(group, "worker", 1)
    except (AssertionError, OSError):
        return False


def test_a_worker_that_fails_names_itself_and_the_reason(folder):
    group = start("launch", "--workers", "2", "--", *TRAIN, "--set", "train.batch_size=7")
    text = finished(group, 2)
    assert "must be a multiple of their number 2" in text
