"""What a run tells: the records of log.jsonl, and the trackers that get them too."""

import struct
import sys
import types
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
import yaml

import mxnetseg
from mxnetseg import config
from mxnetseg.cli import arguments
from mxnetseg.cli.main import build_parser
from mxnetseg.errors import UsageError
from mxnetseg.training.log import Log
from mxnetseg.training.trackers import scalars

from .test_faults import records
from .test_trainer import run

VALIDATED = dict(train__epochs=2, train__validate_every=1)


class Bar:
    """A progress bar that keeps what it is to show."""

    def set_postfix(self, **values):
        self.shown = values


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("mxnetseg.training.log.time.time", lambda: now[0])
    return now


def test_times_and_parts_are_those_of_the_interval(tmp_path, clock):
    experiment = config.build(
        {"train.batch_size": 4, "train.accumulate": 2, "train.log_interval": 2}
    )
    bar = Bar()

    def batches():
        for _ in range(2):
            clock[0] += 3
            yield "batch"

    with Log(tmp_path, experiment, step=10, total_steps=20, names=("main", "aux")) as log:
        for k, _ in enumerate(log.waiting_for(batches())):
            clock[0] += 1
            parts = [mx.nd.array([1, 0.5]), mx.nd.array([2 + 2 * k, 0.25])]  # of two devices
            log.step(11 + k, 1, 0.1, parts, mx.nd.array([5 + k]), bar)
            log.settle()
    (record,) = records(tmp_path)
    assert record == {
        "step": 12, "epoch": 2, "loss": 4.75, "lr": 0.1, "parts": {"main": 4.0, "aux": 0.75},
        "gradient_norm": 5.5, "images_per_second": 2.0, "step_seconds": 4.0, "data_seconds": 3.0,
    }  # fmt: skip
    assert bar.shown == {"loss": "4.750", "lr": "0.1", "left": "0:00:32"}  # 8 steps of 4 s


def test_a_run_notes_its_parts_its_gradients_and_every_class(tmp_path):
    run(tmp_path, model__name="pidnet", model__backbone=None, train__epochs=1,
        train__validate_every=1, model__options={"planes": 8, "ppm_planes": 8},
        loss__name="boundary_aware")  # fmt: skip
    *steps, validation = records(tmp_path)
    for record in steps:
        assert list(record["parts"]) == ["main", "aux", "boundary", "joint"]
        assert sum(record["parts"].values()) == pytest.approx(record["loss"])
        assert record["gradient_norm"] > 0
        assert 0 <= record["data_seconds"] < record["step_seconds"]
    assert len(validation["iou"]) == 11
    found = [value for value in validation["iou"].values() if value is not None]
    assert np.mean(found) == pytest.approx(validation["miou"])


# --- trackers ------------------------------------------------------------------------------------


def test_numbers_are_grouped():
    train = {"step": 3, "epoch": 1, "loss": 0.5, "parts": {"main": 0.5}, "lr": 0.1}
    assert scalars(train) == {"train/loss": 0.5, "train/parts/main": 0.5, "train/lr": 0.1}
    val = {"step": 3, "epoch": 1, "miou": 0.2, "iou": {"road": 0.2, "sky": None}}
    assert scalars(val) == {"val/miou": 0.2, "val/iou/road": 0.2}


def events(folder):
    """[(step, name, value or size of the picture)] of TensorBoard's file."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events*")
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        for value in event.summary.value:
            image = value.image
            size = (image.height, image.width) if value.HasField("image") else value.simple_value
            found.append((event.step, value.tag, size))
        data = data[16 + length :]
    return found


def test_tensorboard_gets_all_numbers_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX", reason="needs tensorboardX")
    run(tmp_path, log__tensorboard=True, **VALIDATED)
    found = events(tmp_path / "tensorboard")
    values = {(step, name): value for step, name, value in found}
    assert values[0, "run/train_images"] == 12
    for record in records(tmp_path):
        for name, value in scalars(record).items():
            assert values[record["step"], name.replace(" ", "_")] == pytest.approx(value, rel=1e-5)
    pictures = [
        value
        for step, name, value in found
        if name.startswith("val/") and step == 3 and isinstance(value, tuple)
    ]
    assert pictures == [(341, 3 * 512)] * 4


def test_wandb_gets_the_same(tmp_path, monkeypatch):
    logged, summary = [], {}
    tracked = types.SimpleNamespace(
        log=lambda values, step: logged.append((step, values)),
        summary=summary,
        finish=lambda: logged.append("finished"),
    )
    begun = {}
    package = types.SimpleNamespace(
        init=lambda **options: begun.update(options) or tracked,
        Image=lambda picture, caption: (picture.shape, caption),
    )
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    best = run(tmp_path, log__wandb="streets", **VALIDATED)
    assert begun["project"] == "streets" and begun["mode"] == "offline"
    assert begun["config"]["train_images"] == 12 and begun["config"]["optim"]["lr"] == 0.01
    assert logged.pop() == "finished"
    written = records(tmp_path)
    wanted = [(r["step"], {**scalars(r), "epoch": r["epoch"]}) for r in written]
    assert [entry for entry in logged if "val/pictures" not in entry[1]] == wanted
    scores = {r["epoch"]: r["miou"] for r in written if "miou" in r}
    assert summary == {"best_miou": best, "best_epoch": max(scores, key=scores.get)}


@pytest.mark.parametrize("settings, package", [
    ({"log.wandb": "x"}, "wandb"), ({"log.tensorboard": True}, "tensorboardX"),
])  # fmt: skip
def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch, settings, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=f"pip install {package}"):
        Log(tmp_path, config.build(settings))


def test_the_sweep_uses_flags_of_train():
    file = Path(mxnetseg.__file__).parents[1] / "configs" / "sweep.yml"
    sweep = yaml.safe_load(file.read_text(encoding="utf-8"))
    program, *command, last = sweep["command"]
    assert program == "mxnetseg" and last == "${args_no_boolean_flags}"
    for name, parameter in sweep["parameters"].items():  # as the agent passes them on
        for value in parameter.get("values", [parameter.get("value", parameter.get("max"))]):
            command.append(f"--{name}" if value is True else f"--{name}={value}")
    flags = arguments.flags(build_parser().parse_args(command))
    assert flags["optim.lr"] == 0.1 and flags["model.aux"] and flags["train.batch_size"] == 8
    config.build(flags)
    record = {"step": 1, "epoch": 1, "miou": 0.5}
    assert sweep["metric"] == {"name": "val/miou", "goal": "maximize"} and "val/miou" in scalars(
        record
    )
