"""A disk that is full and one that becomes read-only, wherever something is written."""

import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mxnetseg import checkpoint, cli

TINY = ["--model", "bisenet", "--backbone", "xception39", "--crop", "32", "--batch-size", "4",
        "--ctx", "cpu", "--set", "data.options={size: [32, 32], scenes: 4}"]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run of one step."""
    out = tmp_path_factory.mktemp("run")
    assert cli.main(["train", *TINY, "train.epochs=1", "--out", str(out)]) == 0
    return out


@pytest.fixture
def disk(tmp_path):
    """``disk(size)`` -> the folder of a small disk."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        if not sys.platform.startswith("linux") or subprocess.run(command).returncode:
            pytest.skip("may not mount a small disk here")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], stderr=subprocess.DEVNULL)


def failing(capsys, *command):
    """What a command that fails says."""
    capsys.readouterr()
    assert cli.main([str(c) for c in command]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err and err.count("mxnetseg:") == 1, err
    return err


def fill(folder, leave):
    """Write to the disk of ``folder`` until ``leave`` bytes are left."""
    with (folder / "filler").open("wb") as file:
        file.write(bytes(shutil.disk_usage(folder).free - leave))


def test_there_is_no_room_for_a_first_checkpoint(disk, capsys):
    out = disk("64k") / "run"
    err = failing(capsys, "train", *TINY, "--no-val", "--out", out)
    assert "last.params cannot be written: is the disk full" in err
    assert not [path for path in out.iterdir() if ".params" in path.name]


@pytest.mark.parametrize("leave", [0, 100_000])  # for the log; for half a checkpoint
def test_there_is_no_room_any_more(disk, trained, capsys, leave):
    out = disk("100m") / "run"
    shutil.copytree(str(trained), str(out))
    before = (out / "last.params").read_bytes()
    fill(out.parent, leave)
    err = failing(capsys, "train", "--resume", out / "last.params", "--epochs", "3")
    assert "cannot be written: No space left" in err or "is the disk full" in err
    assert (out / "last.params").read_bytes() == before == (out / "best.params").read_bytes()
    assert checkpoint.read(out / "last.params").meta["progress"]["step"] == 1
    records = (out / "log.jsonl").read_text().splitlines()
    assert records[:2] == (trained / "log.jsonl").read_text().splitlines()[:2]


def test_a_disk_that_becomes_read_only(disk, trained, capsys):
    out = disk("100m") / "run"
    shutil.copytree(str(trained), str(out))
    subprocess.run(["mount", "-o", "remount,ro", str(out.parent)], check=True)
    for verb in (
        ("train", "--resume", out / "last.params", "--epochs", "3"),
        ("train", *TINY, "--out", out.parent / "another"),
        ("eval", "--checkpoint", out / "best.params", "--ctx", "cpu", "--out", out),
    ):
        assert "cannot be written: Read-only" in failing(capsys, *verb)


@pytest.mark.parametrize("mode", ["val", "testval"])
def test_there_is_no_room_for_results(disk, trained, capsys, mode):
    out = disk("8k")
    fill(out, 0)
    command = ["eval", "--checkpoint", trained / "best.params", "--mode", mode, "--ctx", "cpu"]
    assert "cannot be written" in failing(capsys, *command, "--out", out / "here")


def test_there_is_no_room_for_pictures(disk, trained, tmp_path, capsys):
    image = np.random.RandomState(0).randint(0, 255, (64, 64, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    command = ["predict", "--checkpoint", trained / "best.params", tmp_path / "a.png"]
    out = disk("16k")
    fill(out, 0)
    assert "cannot be written" in failing(capsys, *command, "--ctx", "cpu", "--out", out / "here")
