"""Runs that are killed, stopped and starved at random moments end as if nothing had been."""

import contextlib
import json
import random
import shutil
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
    "--crop", "32", "--batch-size", "4", "--log-interval", "1", "--epochs", "30", "--ctx", "cpu",
    "--set", "data.options={size: [32, 48], scenes: 13}", "train.save_minutes=0.002",
    "train.validate_every=7", "train.keep_every=10",
]  # fmt: skip


def start(out):
    """Begin the run, or go on with it."""
    resume = ["--resume"] if (out / "last.params").exists() else []
    return subprocess.Popen(
        [*COMMAND, *resume, "--out", str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(out):
    """Let the run go on to its end."""
    process = start(out)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that was left alone, and the seconds that it took to begin and to end."""
    out, times = tmp_path_factory.mktemp("whole") / "run", [time.time()]
    process = start(out)
    while process.poll() is None and not numbers(out):
        time.sleep(0.05)
    times.append(time.time())
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    times.append(time.time())
    return out, times[1] - times[0], times[2] - times[1]


def position(out):
    """The step at which the checkpoint stands; a broken one is an error."""
    path = out / "last.params"
    return checkpoint.read(path).meta["progress"]["step"] if path.exists() else 0


def numbers(out):
    """What the log says of steps and validations, without times."""
    if not (out / "log.jsonl").exists():
        return []
    records = map(json.loads, (out / "log.jsonl").read_text().splitlines())
    kept = ("step", "epoch", "loss", "lr", "miou", "best")
    return [{key: record[key] for key in kept if key in record} for record in records]


def assert_equal(out, whole):
    """All checkpoints and the log are those of the other run, bit for bit."""
    names = sorted(path.name for path in whole.glob("*.params"))
    assert names == sorted(path.name for path in out.glob("*.params")) and len(names) == 5
    for name in names:
        assert difference(out / name, whole / name) == 0, name
    assert numbers(out) == numbers(whole)
    assert not [path for path in out.iterdir() if path.name.endswith(".part")]


@pytest.mark.parametrize("number, times", [(signal.SIGKILL, 20), (signal.SIGTERM, 10)])
def test_signals_at_random_moments(whole, tmp_path, number, times):
    left_alone, begin, length = whole
    rng, out, stands = random.Random(int(number)), tmp_path / "run", []
    while len(stands) < times:
        process = start(out)
        time.sleep(rng.uniform(0.2, begin + length / 8))
        process.send_signal(number)
        _, err = process.communicate(timeout=600)
        assert "Traceback" not in err, err
        if process.returncode == 0:  # it came to its end before its time
            shutil.rmtree(str(out))
            continue
        assert process.returncode in (-number, 128 + number), err
        stands.append(position(out))
    print(f"{times} signals {number.name}, left at the steps {stands}")
    finish(out)
    assert_equal(out, left_alone)


@contextlib.contextmanager
def disk(folder, megabytes):
    """A small disk in memory."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(command).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("megabytes", [1, 30, 50, 75])
def test_a_disk_that_fills_up(whole, tmp_path, megabytes):
    with disk(tmp_path, megabytes):
        process = start(tmp_path / "run")
        _, err = process.communicate(timeout=600)
        assert process.returncode == 1 and "cannot be written" in err and "Traceback" not in err
        stand = position(tmp_path / "run")
        print(f"{megabytes} MB are full, at step {stand}")
        assert stand > 0 or megabytes < 50
        subprocess.run(["mount", "-o", "remount,size=1g", str(tmp_path)], check=True)
        finish(tmp_path / "run")
        assert_equal(tmp_path / "run", whole[0])


def test_a_disk_that_is_full_at_random_moments(whole, tmp_path):
    left_alone, begin, length = whole
    rng, out, stands = random.Random(0), tmp_path / "run", []
    with disk(tmp_path, 300):
        while len(stands) < 5:
            process = start(out)
            time.sleep(rng.uniform(begin, begin + length / 8))
            with contextlib.suppress(OSError), (tmp_path / "filler").open("wb") as file:
                while True:
                    file.write(bytes(1 << 20))
            _, err = process.communicate(timeout=600)
            (tmp_path / "filler").unlink()
            if process.returncode == 0:
                shutil.rmtree(str(out))
                continue
            assert process.returncode == 1 and "cannot be written" in err, err
            stands.append(position(out))
        print(f"full 5 times, at the steps {stands}")
        finish(out)
        assert_equal(out, left_alone)


def test_a_folder_that_becomes_read_only(whole, tmp_path):
    with disk(tmp_path, 500):
        process = start(tmp_path / "run")
        while not (tmp_path / "run" / "last.params").exists() and process.poll() is None:
            time.sleep(0.1)
        # a bind mount, because the log is open for writing
        subprocess.run(["mount", "--bind", str(tmp_path), str(tmp_path)], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path)], check=True)
        _, err = process.communicate(timeout=600)
        subprocess.run(["umount", str(tmp_path)], check=True)
        assert process.returncode in (0, 1) and "Traceback" not in err
        if process.returncode:
            assert "cannot be written" in err
        assert position(tmp_path / "run") > 0
        finish(tmp_path / "run")
        assert_equal(tmp_path / "run", whole[0])
