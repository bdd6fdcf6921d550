"""The training run: resuming, several devices, interruptions, wrong settings."""

import json
import os
import signal

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon.nn import Dropout

from mxnetseg import build, checkpoint, config, runtime
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.training import trainer

SMALL = {
    "model.name": "bisenet",
    "model.backbone": "xception39",
    "data.options": {"size": [64, 96], "scenes": 12},
    "train.batch_size": 4,
    "train.crop_size": 64,
    "train.epochs": 2,
    "train.validate_every": 0,
    "train.log_interval": 1,
}


def run(out, contexts=("cpu",), resume=None, **settings):
    experiment = config.build(SMALL, {k.replace("__", "."): v for k, v in settings.items()})
    if resume:
        experiment = config.parse(resume.meta["experiment"])
    return trainer.train(experiment, runtime.contexts(list(contexts)), out, resume)


def difference(a, b):
    """Largest difference of two checkpoints' arrays."""
    a, b = checkpoint.read(a), checkpoint.read(b)
    assert a.parameters.keys() == b.parameters.keys() and a.optimizer.keys() == b.optimizer.keys()
    pairs = [(a.parameters[k], b.parameters[k]) for k in a.parameters]
    pairs += [(a.optimizer[k], b.optimizer[k]) for k in a.optimizer]
    return max(np.abs(x.asnumpy() - y.asnumpy()).max() for x, y in pairs)


def stop_at(monkeypatch, step, number=signal.SIGTERM):
    """Send this process a signal while a run makes step ``step``."""
    learning_rate = trainer.learning_rate

    def hooked(optim, before, *rest):
        if before + 1 == step:
            os.kill(os.getpid(), number)
        return learning_rate(optim, before, *rest)

    monkeypatch.setattr(trainer, "learning_rate", hooked)


def interrupted(monkeypatch, out, step, number=signal.SIGTERM, **settings):
    """The checkpoint that a run into ``out`` leaves which a signal stops at step ``step``."""
    with monkeypatch.context() as patch:
        stop_at(patch, step, number)
        with pytest.raises(trainer.Interrupted):
            run(out, **settings)
    return checkpoint.read(out / "last.params")


@pytest.mark.parametrize("optimizer", ["sgd", "nag", "adam"])
def test_an_interrupted_run_goes_on_exactly(tmp_path, monkeypatch, optimizer):
    run(tmp_path / "whole", optim__name=optimizer)
    parts = tmp_path / "parts"
    half = interrupted(monkeypatch, parts, 2, optim__name=optimizer)  # in the middle of an epoch
    assert half.meta["progress"]["step"] == 2
    epoch = interrupted(monkeypatch, parts, 3, resume=half)  # at the end of one
    run(parts, resume=epoch)
    assert difference(*(tmp_path / n / "last.params" for n in ("whole", "parts"))) == 0
    logs = [(tmp_path / n / "log.jsonl").read_text().splitlines() for n in ("whole", "parts")]
    losses = [[json.loads(line)["loss"] for line in log] for log in logs]
    assert losses[0] == losses[1] and len(losses[0]) == 6


@pytest.mark.parametrize("contexts", [("cpu", "cpu"), ("cpu", "cpu", "cpu")])
def test_a_step_on_several_devices_is_the_step_on_one(tmp_path, monkeypatch, contexts):
    create = build.create_network

    def without_dropout(*arguments):  # whose masks every device draws for itself
        net = create(*arguments)
        net.apply(lambda block: setattr(block, "_rate", 0) if type(block) is Dropout else None)
        return net

    monkeypatch.setattr(build, "create_network", without_dropout)
    settings = dict(train__epochs=1, train__freeze_bn=True, model__name="fcn",
                    model__backbone="resnet18", train__batch_size=12)  # fmt: skip
    settings["data__options"] = {"size": [64, 96], "scenes": 12}
    settings["model__options"] = {"output_stride": 32}
    run(tmp_path / "one", **settings)
    run(tmp_path / "several", contexts, **settings)
    first, second = (checkpoint.read(tmp_path / n / "last.params") for n in ("one", "several"))
    for name, value in first.parameters.items():
        other = second.parameters[name].asnumpy()
        np.testing.assert_allclose(value.asnumpy(), other, atol=1e-5, err_msg=name)


def test_a_failing_validation_loses_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise MXNetSegError("a broken image")

    settings = dict(train__validate_every=1, train__epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "validate", fail)
        with pytest.raises(MXNetSegError, match="a broken image"):
            run(tmp_path, **settings)
    saved = checkpoint.read(tmp_path / "last.params")
    assert saved.meta["progress"]["step"] == 3 and saved.meta["progress"]["epochs"] == 0
    assert run(tmp_path, resume=saved) is not None
    scores = [line for line in (tmp_path / "log.jsonl").read_text().splitlines() if "miou" in line]
    assert len(scores) == 2


def test_training_learns_and_writes_what_it_promises(tmp_path):
    best = run(
        tmp_path, train__epochs=6, train__validate_every=3, optim__name="adam", optim__lr=3e-3
    )
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    scores = [line["miou"] for line in lines if "miou" in line]
    assert losses[-1] < 0.7 * losses[0]
    assert len(scores) == 2 and best == max(scores)
    saved = checkpoint.read(tmp_path / "best.params")
    assert saved.meta["progress"]["best"] == best
    assert config.build(file=tmp_path / "config.yaml").train.crop_size == 64
    assert saved.meta["experiment"]["augment"]["base_size"] == 96


def test_the_classes_of_the_head_learn_at_their_own_rate(tmp_path):
    run(tmp_path / "a", train__epochs=1, optim__head_lr_factor=1e-6)
    start = config.build(SMALL)
    mx.random.seed(start.train.seed)
    net = build.create_network(start.model, 11)
    saved = checkpoint.read(tmp_path / "a" / "last.params").parameters

    def moved(prefix):
        parameters = net._collect_params_with_prefix().items()
        return max(
            np.abs(p.data().asnumpy() - saved[n].asnumpy()).max()
            for n, p in parameters
            if n.startswith(prefix) and p.grad_req != "null"
        )

    assert moved("head.") < 1e-4 < moved("backbone.")


@pytest.mark.parametrize(
    "settings, error, message",
    [
        (dict(train__batch_size=100), UsageError, "do not fill one batch"),
        (dict(train__batch_size=1), UsageError, "2 images or more per device"),
        (dict(loss__aux_weights=[0.4]), UsageError, "2 auxiliary outputs"),
        (dict(loss__class_weights=[1, 2]), UsageError, "2 numbers for 11 classes"),
        (dict(augment__options={"flipp": 1}), UsageError, "flip"),
        (dict(model__weights="none.params"), UsageError, "no checkpoint none.params"),
        (dict(model__backbone_weights="none.params"), UsageError, "cannot be read"),
        (dict(optim__lr=1e12), MXNetSegError, "not finite"),
    ],
)
def test_wrong_settings_are_explained(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        run(tmp_path, **settings)


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MXNetSegError, match="cannot be written"):
        run(tmp_path / "file" / "run")


def test_resuming_with_another_optimiser_is_refused(tmp_path, monkeypatch):
    saved = interrupted(monkeypatch, tmp_path, 1, signal.SIGINT)
    saved.meta["experiment"]["optim"]["name"] = "adam"
    with pytest.raises(UsageError, match="another optimiser"):
        run(tmp_path, resume=saved)


def test_start_weights_and_backbone_weights(tmp_path):
    run(tmp_path / "a", train__epochs=1)
    first = tmp_path / "a" / "last.params"
    tiny = dict(train__epochs=1, optim__lr=1e-12, optim__momentum=0.0)
    run(tmp_path / "b", model__weights=str(first), **tiny)
    run(tmp_path / "c", model__backbone_weights=str(first), **tiny)
    a, b, c = (checkpoint.read(tmp_path / n / "last.params").parameters for n in "abc")

    def close(x, y, prefix):
        names = [n for n in x if n.startswith(prefix) and n.endswith("weight")]
        return all(np.allclose(x[n].asnumpy(), y[n].asnumpy(), atol=1e-6) for n in names)

    assert close(a, b, "") and close(a, c, "backbone.") and not close(a, c, "head.")


def test_a_lenient_start_takes_what_fits_and_lists_the_rest(tmp_path, capsys):
    run(tmp_path / "a", train__epochs=1)
    first = tmp_path / "a" / "last.params"
    settings = dict(train__epochs=1, optim__lr=1e-12, optim__momentum=0.0, model__aux=False)
    settings["model__weights"] = str(first)
    with pytest.raises(UsageError, match="left over"):
        run(tmp_path / "b", **settings)
    run(tmp_path / "b", model__weights_strict=False, **settings)
    said = capsys.readouterr().out
    assert "parameters of it fit nowhere: aux_head.0.conv1.conv.weight" in said, said
    a, b = (checkpoint.read(tmp_path / n / "last.params").parameters for n in "ab")
    same = [n for n in b if n.endswith("weight")]
    assert all(np.allclose(a[n].asnumpy(), b[n].asnumpy(), atol=1e-6) for n in same)

    net = build.create_network(config.build(SMALL).model, 3)
    kept, left = checkpoint.load_fitting(net, a)
    assert kept == left and all(".conv2." in name for name in kept)
    with pytest.raises(UsageError, match="nothing that fits"):
        checkpoint.load_fitting(net, {})
