"""What must not go wrong unnoticed: losses, devices, signals, folders, times of saving."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import build, checkpoint, cli, config
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.evaluator import evaluate
from mxnetseg.inference.protocol import Protocol
from mxnetseg.training import folder, health, trainer
from mxnetseg.training.log import Log
from mxnetseg.training.signals import Until

from .test_trainer import difference, interrupted, run


def records(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


# --- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [1, 1000])
def test_a_run_that_diverges_fails_and_saves_nothing(tmp_path, interval):
    with pytest.raises(MXNetSegError, match="not finite") as error:
        run(tmp_path, optim__lr=1e12, train__log_interval=interval, train__epochs=1)
    assert error.value.exit_code == 1 and not (tmp_path / "last.params").exists()


def test_the_last_good_checkpoint_survives(tmp_path, monkeypatch):
    saved = interrupted(monkeypatch, tmp_path, 1)
    saved.meta["experiment"]["optim"]["lr"] = 1e12
    with pytest.raises(MXNetSegError, match="not finite"):
        run(tmp_path, resume=saved)
    again = checkpoint.read(tmp_path / "last.params")
    assert again.meta["progress"]["step"] == 1
    assert all(np.isfinite(v.asnumpy()).all() for v in again.parameters.values())


def test_state_that_is_not_finite_is_never_saved():
    net = mx.gluon.nn.Dense(1, in_units=1)
    net.initialize()
    health.check_finite(net, {"0:weight": mx.nd.zeros(1)}, 1)
    with pytest.raises(MXNetSegError, match="not finite at step 1"):
        health.check_finite(net, {"0:weight": mx.nd.array([np.inf])}, 1)


def test_a_run_shorter_than_the_interval_is_logged(tmp_path):
    run(tmp_path, train__log_interval=1000, train__epochs=1)
    (record,) = records(tmp_path)
    assert record["step"] == 3 and record["loss"] > 0 and record["images_per_second"] > 0


def test_speed_is_that_of_training_alone(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("mxnetseg.training.log.time.time", lambda: now[0])
    experiment = config.build({"train.batch_size": 8, "train.log_interval": 4})
    bar = type("Bar", (), {"set_postfix": lambda self, **values: None})()
    loss = [mx.nd.ones(1)]
    with Log(tmp_path, experiment, total_steps=4) as log:
        for step in (1, 2):
            now[0] += 1
            log.step(step, 0, 0.1, loss, loss[0], bar)
            log.settle()
        now[0] += 100  # of validation
        scores = {"miou": 0, "pixel_accuracy": 0, "mean_accuracy": 0, "seconds": 100}
        scores["validation_loss"] = 1.0
        scores["classes"] = [{"name": "road", "iou": None}]
        log.validation(2, 0, scores, 0)
        for step in (3, 4):
            now[0] += 2
            log.step(step, 1, 0.1, loss, loss[0], bar)
            log.settle()
    assert records(tmp_path)[-1]["images_per_second"] == 4  # two steps of 8 in four seconds


def test_what_is_validated_on_two_devices_is_what_is_saved(tmp_path):
    run(tmp_path, ("cpu", "cpu"), train__epochs=1, train__validate_every=1)
    saved = checkpoint.read(tmp_path / "best.params")
    about = saved.description
    backend = MXNetBackend(checkpoint.network(saved), [mx.cpu()], about.mean, about.std)
    experiment = config.parse(saved.experiment)
    found = evaluate(backend, build.validation_set(experiment), Protocol.from_config(experiment))
    assert found["miou"] == pytest.approx(records(tmp_path)[-1]["miou"], abs=1e-6)


def test_running_statistics_are_averaged():
    contexts = [mx.cpu(0), mx.cpu(1)]
    net = mx.gluon.nn.BatchNorm(in_channels=2)
    net.initialize(ctx=contexts)
    for k, context in enumerate(contexts):
        net.running_mean.data(context)[:] = k
    health.average_statistics(net, contexts)
    for context in contexts:
        assert (net.running_mean.data(context).asnumpy() == 0.5).all()
        assert (net.gamma.data(context).asnumpy() == 1).all()


# --- optimiser ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adam(tmp_path_factory):
    out = tmp_path_factory.mktemp("adam")
    run(out, optim__name="adam", train__epochs=1)
    return out / "last.params"


@pytest.mark.parametrize(
    "more, message",
    [
        (["--set", "optim.name=sgd", "train.epochs=2"], "trained with adam"),
        (["--checkpoint", "other.params"], "drop --checkpoint"),
    ],
)
def test_resuming_something_else_is_refused(adam, capsys, more, message):
    assert cli.main(["train", "--resume", str(adam), *more]) == 2
    assert message in capsys.readouterr().err


def test_classes_in_another_order_are_refused(adam):
    saved = checkpoint.read(adam)
    saved.meta["classes"] = saved.meta["classes"][::-1]
    with pytest.raises(UsageError, match="another order"):
        run(adam.parent, resume=saved)


def test_rates_by_pattern(tmp_path):
    settings = {"optim.rates": {"*aux*": 10, "head.*": 3}, "optim.decays": {"*.gamma": 0}}
    experiment = config.build({"model.name": "bisenet", "model.backbone": "xception39", **settings})
    net = build.create_network(experiment.model, 3)
    found = trainer.Optimizer(net, experiment.optim, [mx.cpu()]).parameters
    rates = {name: p.lr_mult for name, p in found.items()}
    assert {r for n, r in rates.items() if "aux" in n} == {10}
    assert {r for n, r in rates.items() if n.startswith("backbone.")} == {1}
    assert all((p.wd_mult == 0) == name.endswith(".gamma") for name, p in found.items())
    experiment.optim.rates = {"tail.*": 2}
    with pytest.raises(UsageError, match="no parameter is called tail"):
        trainer.Optimizer(net, experiment.optim, [mx.cpu()])


def test_a_head_factor_needs_a_backbone():
    experiment = config.build({"model.name": "pidnet", "optim.head_lr_factor": 10})
    net = build.create_network(experiment.model, 3)
    with pytest.raises(UsageError, match="has none"):
        trainer.Optimizer(net, experiment.optim, [mx.cpu()])


# --- signals ------------------------------------------------------------------------------------

STUCK = """
import ctypes, sys
from mxnetseg.training import signals
signals.PATIENCE = float(sys.argv[1])
with signals.Signals() as stop:
    print("ready", flush=True)
    mutex = ctypes.create_string_buffer(256)
    while True:  # the second one waits for ever, and no handler of Python's runs
        ctypes.CDLL(None).pthread_mutex_lock(mutex)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs pthread_mutex_lock")
@pytest.mark.parametrize("patience, signals", [("0.2", 1), ("60", 2)])
def test_a_stuck_run_can_be_ended(patience, signals):
    command = [sys.executable, "-c", STUCK, patience]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143 and "ended without saving" in err


def test_a_signal_while_validating_ends_the_run_saved(tmp_path, monkeypatch):
    read = Until.__getitem__

    def hooked(self, index):
        if index == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            while not self.stop.is_set():
                time.sleep(0.01)
        return read(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Until, "__getitem__", hooked)
        with pytest.raises(trainer.Interrupted) as stopped:
            run(tmp_path / "parts", train__validate_every=1)
    assert stopped.value.exit_code == 143
    saved = checkpoint.read(tmp_path / "parts" / "last.params")
    assert saved.meta["progress"]["step"] == 3 and saved.meta["progress"]["epochs"] == 0
    run(tmp_path / "parts", resume=saved)
    run(tmp_path / "whole", train__validate_every=1)
    assert difference(*(tmp_path / n / "last.params" for n in ("whole", "parts"))) == 0


# --- times of saving ----------------------------------------------------------------------------


def test_a_run_that_dies_within_an_epoch_goes_on_exactly(tmp_path, monkeypatch):
    def dies(optim, before, *rest):
        if before == 2:
            raise KeyboardInterrupt
        return 0.01

    monkeypatch.setattr(trainer, "learning_rate", lambda *rest: 0.01)
    run(tmp_path / "whole", train__epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "learning_rate", dies)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", train__epochs=1, train__save_minutes=1e-9)
    saved = checkpoint.read(tmp_path / "parts" / "last.params")
    assert saved.meta["progress"]["step"] == 2
    run(tmp_path / "parts", resume=saved)
    assert difference(*(tmp_path / n / "last.params" for n in ("whole", "parts"))) == 0


def test_which_epochs_are_validated_and_kept(tmp_path):
    run(tmp_path, train__epochs=9, train__stop_after=6, train__validate_every=3,
        train__validate_last=2, train__keep_every=2, data__options={"size": [32, 32], "scenes": 4},
        train__crop_size=32)  # fmt: skip
    validated = [r["epoch"] for r in records(tmp_path) if "miou" in r]
    assert validated == [3, 5, 6]
    kept = sorted(p.name for p in tmp_path.glob("epoch_*.params"))
    assert kept == ["epoch_0002.params", "epoch_0004.params", "epoch_0006.params"]
    assert checkpoint.read(tmp_path / "epoch_0004.params").meta["progress"]["epochs"] == 4
    assert checkpoint.read(tmp_path / "last.params").meta["progress"]["total_steps"] == 9


def test_a_run_that_dies_between_two_files_makes_both_again(tmp_path, monkeypatch):
    def dies(source, target):
        raise KeyboardInterrupt

    settings = dict(train__epochs=1, train__validate_every=1, train__keep_every=1)
    with monkeypatch.context() as patch:
        patch.setattr(trainer.files, "copy", dies)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, **settings)
    run(tmp_path, resume=checkpoint.read(tmp_path / "last.params"))
    assert sum("miou" in record for record in records(tmp_path)) == 1  # validated twice
    names = ("best.params", "last.params", "epoch_0001.params")
    assert len({(tmp_path / name).read_bytes() for name in names}) == 1


def test_half_a_record_in_the_log_is_dropped(tmp_path):
    run(tmp_path, train__epochs=1)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "pa}\n[1]\n{"step')
    run(tmp_path, resume=checkpoint.read(tmp_path / "last.params"))
    assert [r["step"] for r in records(tmp_path)] == [1, 2, 3]


# --- folders ------------------------------------------------------------------------------------


def test_two_runs_in_one_folder(tmp_path):
    (tmp_path / ".last.params.1.2.part").write_text("what a killed run left")
    with folder.held(tmp_path):
        assert not list(tmp_path.glob("*.part"))
        with pytest.raises(MXNetSegError, match=f"process {os.getpid()}") as error:
            run(tmp_path)
        assert error.value.exit_code == 1
    run(tmp_path, train__epochs=1)


def test_two_runs_in_one_folder_without_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "fcntl", None)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (tmp_path / ".lock").write_text(f"{other.pid} {socket.gethostname()}")
    with pytest.raises(MXNetSegError, match=f"process {other.pid}"), folder.held(tmp_path):
        pass
    other.communicate(b"\n")
    with folder.held(tmp_path):
        pass


class Full:
    """A file on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")

    close = flush = lambda self: self.write("")


def test_a_disk_that_is_full_when_the_log_is_written(tmp_path, monkeypatch):
    init = Log.__init__

    def full(self, *arguments):
        init(self, *arguments)
        self._file.close()
        self._file = Full()

    monkeypatch.setattr(Log, "__init__", full)
    with pytest.raises(MXNetSegError, match="log.jsonl cannot be written: No space left"):
        run(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs limits of file sizes")
def test_a_disk_that_is_full_when_the_checkpoint_is_written(tmp_path):
    import resource

    run(tmp_path, train__epochs=1)
    before = (tmp_path / "last.params").read_bytes()

    def small_files():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

    done = subprocess.run(
        [sys.executable, "-m", "mxnetseg", "train", "--resume", str(tmp_path / "last.params"),
         "--epochs", "2"], preexec_fn=small_files, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1 and "cannot be written" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "last.params").read_bytes() == before
