"""What makes up a step: optimisers, clipped gradients, averaged and frozen weights."""

import math

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg import build, checkpoint, config
from mxnetseg.errors import UsageError
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.evaluator import evaluate
from mxnetseg.inference.protocol import Protocol
from mxnetseg.training.average import Average
from mxnetseg.training.freezing import freeze
from mxnetseg.training.optimizer import Optimizer

from .test_faults import records
from .test_trainer import difference, interrupted, run


class Line(gluon.nn.HybridBlock):
    """Three weights, and the sum of each times a number."""

    def __init__(self, values, contexts):
        super().__init__()
        self.weight = self.params.get("weight", shape=(3,), init=mx.init.Zero())
        self.initialize(ctx=contexts)
        self.weight.set_data(mx.nd.array(values))

    def hybrid_forward(self, F, x, weight):
        return (weight * x).sum()


ONE = [mx.cpu()]


def trained(optim, gradients, contexts=ONE, rate=0.1, values=(1, -2, 0.5), **options):
    """The weights, starting from ``values``, after a step along each of ``gradients``."""
    net = Line(values, contexts)
    optimizer = Optimizer(net, optim, contexts, **options)
    for gradient in gradients:
        with autograd.record():
            losses = [net(mx.nd.array(gradient, ctx=c) / len(contexts)) for c in contexts]
        autograd.backward(losses)
        optimizer.step(rate)
    return net.weight.data(contexts[-1]).asnumpy()


def adam(gradients, betas, decay=0.0, coupled=0.0, rate=0.1, epsilon=1e-8):
    """Adam of its paper in double precision, with either kind of weight decay."""
    w, m, v = np.array([1, -2, 0.5]), 0, 0
    for t, gradient in enumerate(gradients, 1):
        gradient = np.array(gradient) + coupled * w
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * gradient**2
        corrected = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        w = w - rate * (corrected[0] / (np.sqrt(corrected[1]) + epsilon) + decay * w)
    return w


GRADIENTS = [(1, 2, -3), (2, 4.5, -5), (0.1, 0, 7)]


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_and_adamw(name):
    optim = config.Optim(name=name, weight_decay=0.2, betas=(0.8, 0.95))
    how = {"coupled": 0.2} if name == "adam" else {"decay": 0.2}
    found = trained(optim, GRADIENTS)
    np.testing.assert_allclose(found, adam(GRADIENTS, (0.8, 0.95), **how), rtol=1e-5)
    two = trained(optim, GRADIENTS, [mx.cpu(0), mx.cpu(1)])
    np.testing.assert_allclose(two, found, rtol=1e-6)


def test_betas_are_below_one():
    with pytest.raises(UsageError, match="below 1"):
        config.build({"optim.betas": [0.9, 1.0]})


@pytest.mark.parametrize("contexts", [[mx.cpu()], [mx.cpu(0), mx.cpu(1)]])
def test_gradients_are_clipped_by_their_common_norm(contexts):
    optim = config.Optim(momentum=0, weight_decay=0)
    large, small = (3.0, 0, 4), (0, 0.1, 0)
    found = trained(optim, [large, small], contexts, rate=1, values=(0, 0, 0), clip_norm=2)
    np.testing.assert_allclose(found, [-3 * 2 / 5, -0.1, -4 * 2 / 5], rtol=1e-6)


class Late(mx.kvstore.KVStoreBase):
    """A store that answers questions for parameters when somebody waits for it, as one far away."""

    type, rank, num_workers = "late", 0, 1

    def __init__(self):
        self.held, self.asked = {}, []

    @staticmethod
    def is_capable(capability):
        return False

    def broadcast(self, key, value, out, priority=0):
        self.held[key] = value.copy()
        self.asked.append((key, out))

    def pushpull(self, key, value, out=None, priority=0):
        self.held[key] = value[0].copy()
        self.answer()

    def answer(self):
        for key, arrays in self.asked:
            for array in arrays:
                self.held[key].copyto(array)
        self.asked = []


def test_gradients_do_not_overtake_the_question_for_the_parameters(monkeypatch):
    store, wait = Late(), mx.nd.waitall
    monkeypatch.setattr(mx.nd, "waitall", lambda: (store.answer(), wait()))
    optim = config.Optim(lr=0.1, momentum=0.0, weight_decay=0.0)
    found = trained(optim, [(1, 1, 1)], kvstore=store)
    np.testing.assert_allclose(found, [0.9, -2.1, 0.4], rtol=1e-6)


def test_the_norm_of_the_gradients_is_logged(tmp_path):
    run(tmp_path, train__clip_norm=1e-3, train__epochs=1)
    assert all(record["gradient_norm"] > 1e-3 for record in records(tmp_path))


# --- average -------------------------------------------------------------------------------------


def test_the_average_follows_its_formula():
    net = Line((1, 1, 1), [mx.cpu(0), mx.cpu(1)])
    average, wanted = Average(net, 0.3), 1.0
    for step, value in enumerate((5, 6, 7), 1):
        net.weight.set_data(mx.nd.full(3, value))
        average.update(step)
        decay = min(0.3, (1 + step) / (10 + step))
        wanted = decay * wanted + (1 - decay) * value
    assert decay == 0.3 and math.isclose((1 + 1) / (10 + 1), 2 / 11)
    with average.applied():
        for ctx in (mx.cpu(0), mx.cpu(1)):
            np.testing.assert_allclose(net.weight.data(ctx).asnumpy(), wanted, rtol=1e-6)
    assert (net.weight.data().asnumpy() == 7).all()


AVERAGED = dict(train__ema=0.9, train__validate_every=2)


def test_the_average_is_what_is_validated_and_saved(tmp_path):
    run(tmp_path / "plain", train__epochs=1)
    run(tmp_path / "average", **{**AVERAGED, "train__epochs": 1})
    saved = checkpoint.read(tmp_path / "average" / "best.params")
    plain = checkpoint.read(tmp_path / "plain" / "last.params")
    weights = {k[8:]: v for k, v in saved.optimizer.items() if k.startswith("weights:")}
    assert weights and all((plain.parameters[k] == v).asnumpy().all() for k, v in weights.items())
    assert any((saved.parameters[k] != v).asnumpy().any() for k, v in weights.items())
    about = saved.description
    backend = MXNetBackend(checkpoint.network(saved), [mx.cpu()], about.mean, about.std)
    experiment = config.parse(saved.experiment)
    found = evaluate(backend, build.validation_set(experiment), Protocol.from_config(experiment))
    assert found["miou"] == pytest.approx(records(tmp_path / "average")[-1]["miou"], abs=1e-9)


def test_an_averaged_run_goes_on_exactly(tmp_path, monkeypatch):
    run(tmp_path / "whole", **AVERAGED)
    half = interrupted(monkeypatch, tmp_path / "parts", 2, **AVERAGED)
    run(tmp_path / "parts", resume=half)
    for name in ("last.params", "best.params"):
        assert difference(tmp_path / "whole" / name, tmp_path / "parts" / name) == 0
    half.meta["experiment"]["train"]["ema"] = None
    with pytest.raises(UsageError, match="with an average"):
        run(tmp_path / "parts", resume=half)


# --- freezing ------------------------------------------------------------------------------------


def moved(tmp_path, patterns, **settings):
    """{last part of the name: whether any such parameter moved} of the backbone, and the head."""
    run(tmp_path / "run", train__epochs=1, train__freeze=patterns, **settings)
    experiment = config.parse(checkpoint.read(tmp_path / "run" / "last.params").experiment)
    mx.random.seed(experiment.train.seed)
    before = build.create_network(experiment.model, 11)._collect_params_with_prefix()
    after = checkpoint.read(tmp_path / "run" / "last.params").parameters
    found = {}
    for name, parameter in before.items():
        kind = name.split(".")[0], name.split(".")[-1]
        changed = (parameter.data() != after[name]).asnumpy().any()
        found[kind] = found.get(kind, False) or bool(changed)
    return found


def test_scale_and_shift_are_frozen_alone(tmp_path):
    found = moved(tmp_path, ["*.gamma", "*.beta"])
    assert {kind for (_, kind), changed in found.items() if not changed} == {"gamma", "beta"}


def test_statistics_are_frozen_alone(tmp_path):
    found = moved(tmp_path, ["backbone.*.running_*"])
    still = {key for key, changed in found.items() if not changed}
    assert still == {("backbone", "running_mean"), ("backbone", "running_var")}


def test_the_backbone_is_frozen(tmp_path):
    found = moved(tmp_path, ["backbone.*"], train__ema=0.5)
    assert {room for (room, _), changed in found.items() if not changed} == {"backbone"}
    assert not any(changed for (room, _), changed in found.items() if room == "backbone")


def test_patterns_that_fit_nothing_or_everything_are_refused():
    net = Line((0, 0, 0), [mx.cpu()])
    with pytest.raises(UsageError, match="train.freeze: no parameter is called head"):
        freeze(net, ["head.*"])
    with pytest.raises(UsageError, match="nothing to train"):
        freeze(net, ["*"])


# --- accumulation ------------------------------------------------------------------------------


# Class weights, ignored pixels (crops reach beyond small images) and the share of boundaries have
# another sum in each of the batches.
ACCUMULATED = {
    "fcn": dict(
        model__name="fcn", model__backbone="resnet18", model__aux=True, augment__base_size=48,
        model__options={"output_stride": 32}, loss__class_weights=[1, 2, 0.5, 3] + [1] * 7,
    ),
    "pidnet": dict(
        model__name="pidnet", model__backbone=None, augment__base_size=48,
        model__options={"planes": 8, "ppm_planes": 8},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name, contexts", [("fcn", ["cpu"]), ("pidnet", ["cpu", "cpu"])])
def test_batches_of_a_step_are_one_large_batch(tmp_path, monkeypatch, name, contexts):
    create = build.create_network

    def without_dropout(*arguments):  # whose masks would be others
        net = create(*arguments)
        net.apply(lambda b: setattr(b, "_rate", 0) if type(b) is gluon.nn.Dropout else None)
        return net

    monkeypatch.setattr(build, "create_network", without_dropout)
    settings = dict(ACCUMULATED[name], train__freeze_bn=True, train__epochs=1)
    run(tmp_path / "large", train__batch_size=6, **settings)
    run(tmp_path / "small", contexts, train__batch_size=2, train__accumulate=3, **settings)
    large, small = (checkpoint.read(tmp_path / n / "last.params") for n in ("large", "small"))
    assert large.meta["progress"] == small.meta["progress"]
    for name, value in large.parameters.items():
        other = small.parameters[name].asnumpy()
        np.testing.assert_allclose(value.asnumpy(), other, atol=1e-5, err_msg=name)
    losses = [[r["loss"] for r in records(tmp_path / n)] for n in ("large", "small")]
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_an_accumulating_run_goes_on_exactly(tmp_path, monkeypatch):
    settings = dict(train__accumulate=2, train__batch_size=2)
    run(tmp_path / "whole", **settings)
    half = interrupted(monkeypatch, tmp_path / "parts", 2, **settings)
    run(tmp_path / "parts", resume=half)
    assert difference(tmp_path / "whole" / "last.params", tmp_path / "parts" / "last.params") == 0
