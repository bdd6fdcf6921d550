"""Runs that are killed, stopped and starved at random moments end as if nothing had been."""

import random
import signal
import subprocess
import sys
import time

import pytest

from mxnetseg import checkpoint

from .test_trainer import difference

pytestmark = pytest.mark.faults

COMMAND = [
    sys.executable, "-m", "mxnetseg", "train", "--model", "bisenet", "--backbone", "xception39",
    "--crop", "64", "--batch-size", "4", "--log-interval", "1", "--epochs", "12", "--ctx", "cpu",
    "--set", "data.options={size: [64, 96], scenes: 12}", "train.save_minutes=0.01",
    "train.validate_every=4",
]  # fmt: skip


def start(out):
    """Begin the run, or go on with it."""
    resume = ["--resume"] if (out / "last.params").exists() else []
    return subprocess.Popen(
        [*COMMAND, *resume, "--out", str(out)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that was left alone."""
    out = tmp_path_factory.mktemp("whole")
    process = start(out)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("number, times", [(signal.SIGKILL, 20), (signal.SIGTERM, 8)])
def test_signals_at_random_moments(whole, tmp_path, number, times):
    rng, sent = random.Random(int(number)), 0
    for _ in range(200):
        process = start(tmp_path)
        if sent < times:
            # the first seconds are spent on loading; a run that saved has something to lose
            time.sleep(rng.uniform(2.5, 7))
            sent += process.poll() is None
            process.send_signal(number)
        _, err = process.communicate(timeout=600)
        assert "Traceback" not in err
        assert process.returncode in (0, -number, 128 + number), err
        if process.returncode == 0:
            break
    assert process.returncode == 0
    assert difference(whole / "last.params", tmp_path / "last.params") == 0
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")] or number == 9


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs tmpfs")
@pytest.mark.parametrize("megabytes", [1, 20, 50, 90])
def test_a_disk_that_fills_up(whole, tmp_path, megabytes):
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        process = start(tmp_path / "run")
        _, err = process.communicate(timeout=600)
        if process.returncode == 0:
            pytest.skip("the run fits")
        assert process.returncode == 1 and "cannot be written" in err and "Traceback" not in err
        subprocess.run(["mount", "-o", "remount,size=1g", str(tmp_path)], check=True)
        if (tmp_path / "run" / "last.params").exists():
            checkpoint.read(tmp_path / "run" / "last.params")
        process = start(tmp_path / "run")
        _, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert difference(whole / "last.params", tmp_path / "run" / "last.params") == 0
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs tmpfs")
def test_a_folder_that_becomes_read_only(tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=500m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        process = start(tmp_path / "run")
        while not (tmp_path / "run" / "last.params").exists() and process.poll() is None:
            time.sleep(0.2)
        # lazily: the log is open for writing
        subprocess.run(["mount", "--bind", str(tmp_path), str(tmp_path)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path)], check=True)
        _, err = process.communicate(timeout=600)
        subprocess.run(["umount", str(tmp_path)], check=False)
        assert process.returncode in (0, 1) and "Traceback" not in err
        if process.returncode:
            assert "cannot be written" in err
        checkpoint.read(tmp_path / "run" / "last.params")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)
