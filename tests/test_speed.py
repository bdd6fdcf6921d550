"""Speeds: who runs when, what is counted, what is said."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from mxnetseg import checkpoint, cli, runtime, speed
from mxnetseg.errors import UsageError
from mxnetseg.inference.merge import segment
from mxnetseg.inference.protocol import Protocol

from .settled import settled
from .tiny import backend, description, tiny_net


class Clock:
    """Time that passes only where somebody says so."""

    def __init__(self, monkeypatch):
        self.now, self.log = 0.0, []
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)


class Slow:
    """A backend whose passes take the given seconds, one after another."""

    num_classes, align_corners, devices = 2, True, 1
    runtime = {"name": "mxnet", "version": "0", "precision": "float32"}

    def __init__(self, clock, name, seconds):
        self.clock, self.name, self.seconds = clock, name, seconds

    def padded_size(self, height, width):
        return height + height % 2, width + width % 2

    def __call__(self, images, padded=None, context=0):
        passes = sum(name == self.name for name, _ in self.clock.log)
        self.clock.now += self.seconds[passes % len(self.seconds)]
        self.clock.log.append((self.name, images.shape))
        height, width = self.padded_size(*images.shape[1:3])
        return _Handle(np.zeros((len(images), 2, height // 2, width // 2), np.float32))


class _Handle:
    def __init__(self, values):
        self.values = values

    def asnumpy(self):
        return self.values


def contestant(name, back):
    return speed.Contestant(name, "mxnet", False, back)


def test_contestants_take_turns_and_warm_up_apart(monkeypatch):
    clock = Clock(monkeypatch)
    first = contestant("a", Slow(clock, "a", [9, 1, 2, 3, 4]))
    second = contestant("b", Slow(clock, "b", [9, 2, 4, 6, 16]))
    how = speed.Convention("", batch=3, warmup=1, repeats=4, stages=("network",))
    a, b = speed.measure([first, second], how, (33, 40))
    assert "".join(name for name, _ in clock.log) == "abab" + "baab" + "ba"
    assert {shape for _, shape in clock.log} == {(3, 33, 40, 3)}
    assert a["size"] == [33, 40] and a["padded"] == [34, 40] and a["batch"] == 3
    assert a["stages"]["network"] == {
        "passes": 4, "median": 2.5, "p95": pytest.approx(3.85), "mean": 2.5, "min": 1.0,
        "images_per_second": 1.2, "ratio": 1.0,
    }  # fmt: skip
    assert b["stages"]["network"]["ratio"] == 2.0  # of 2, 2, 2, 4


def test_seconds_decide_how_many_passes(monkeypatch):
    clock = Clock(monkeypatch)
    how = speed.convention("pidnet")
    (row,) = speed.measure([contestant("a", Slow(clock, "a", [0.25]))], how, (32, 32))
    assert row["stages"]["network"]["passes"] == 24  # of 6 seconds
    assert len(clock.log) == 10 + 1 + 24
    assert row["stages"]["network"]["images_per_second"] == 4


def test_stages_do_what_evaluation_does(monkeypatch, tmp_path):
    """What is timed gives the class maps that the predictor gives, for another size too."""
    real = backend(tiny_net(divisor=8))
    image = np.random.RandomState(0).randint(0, 256, (45, 37, 3)).astype(np.uint8)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), image[..., ::-1])
    tasks = speed._tasks(contestant("t", real), speed.Convention("", batch=2), None, path, tmp_path)
    wanted = segment(real, image, Protocol())
    assert tasks["size"] == (45, 37)
    for stage in ("classes", "file"):
        found = tasks[stage]()
        assert len(found) == 2 and all((one == wanted).mean() > 0.999 for one in found)
    assert tasks["network"]().shape[:2] == (2, 5)


def test_wrong_use():
    one = contestant("t", backend())
    with pytest.raises(UsageError, match="stage"):
        speed.measure([one], speed.Convention("", stages=("nothing",)), (32, 32))
    with pytest.raises(UsageError, match="from 1"):
        speed.measure([one], speed.Convention("", batch=0), (32, 32))
    with pytest.raises(UsageError, match="5 channels"):
        speed.measure([one._replace(channels=5)], speed.Convention(""), (32, 32))
    with pytest.raises(UsageError, match="mlmsnet"):
        speed.convention("mlmsnt")
    with pytest.raises(RuntimeError):
        runtime.use_threads(1)


def test_command(capsys):
    command = ["speed", "pidnet_s", "--size", "32", "64", "--repeats", "2", "--warmup", "0"]
    assert cli.main([*command, "--fuse", "both", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [r["fused"] for r in found["results"]] == [True, False]
    assert all(r["size"] == [32, 64] and list(r["stages"]) == list(speed.STAGES)
               for r in found["results"])  # fmt: skip
    assert found["machine"]["threads"] >= 1
    assert cli.main([*command, "--protocol", "mlmsnet", "--batch", "2", "--ctx", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "MLMSNet's" in out and "2x32x64" in out and "fused" not in out
    assert cli.main(["speed", "pidnet_s", "--image", "a.png", "--size", "64"]) == 2


def test_threads_are_chosen_before_mxnet_is_loaded():
    command = [sys.executable, "-m", "mxnetseg", "speed", "pidnet_s", "--size", "32", "--repeats",
               "1", "--warmup", "0", "--stages", "network", "--json", "--threads"]  # fmt: skip
    done = subprocess.run([*command, "1"], capture_output=True, text=True, check=True)
    machine = json.loads(done.stdout)["machine"]
    assert machine["threads"] == machine["cores"] == 1
    done = subprocess.run([*command, "4096"], capture_output=True, text=True)
    assert done.returncode == 2 and "threads, not 4096" in done.stderr


def test_other_runtimes(tmp_path, capsys):
    pytest.importorskip("onnxruntime", reason="needs pip install onnx onnxruntime")
    saved = settled("eprnet", 5)
    checkpoint.save(tmp_path / "a.params", saved, checkpoint.describe(saved, description(5)))
    assert cli.main(["export", str(tmp_path / "a.params"), "-o", str(tmp_path / "a.onnx")]) == 0
    capsys.readouterr()
    more = ["--compare", str(tmp_path / "a.onnx"), "--size", "32", "64", "--repeats", "1"]
    more += ["--warmup", "0", "--runtime", "mxnet", "onnxruntime", "--json"]
    assert cli.main(["speed", str(tmp_path / "a.params"), *more]) == 0
    rows = json.loads(capsys.readouterr().out)["results"]
    assert [r["runtime"] for r in rows] == ["mxnet", "onnxruntime", "onnxruntime"]
    assert {r["precision"] for r in rows} == {"float32"}
    for wrong, words in (
        (["speed", str(tmp_path / "a.onnx"), "--runtime", "mxnet"], "MXNet does not run"),
        (["quantize", str(tmp_path / "a.onnx"), "-o", "b.onnx"], "is an ONNX file"),
    ):
        assert cli.main(wrong) == 2 and words in capsys.readouterr().err
