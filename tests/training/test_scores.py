"""The loss of a validation, and the mIoU of the batches that are trained on."""

import json

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import losses
from mxnetseg.description import IGNORE
from mxnetseg.inference.evaluator import run as evaluate
from mxnetseg.inference.protocol import Protocol
from mxnetseg.metrics.confusion import ConfusionMatrix
from mxnetseg.training.group import Group
from mxnetseg.training.score import TrainingScore
from mxnetseg.training.trackers import scalars
from mxnetseg.training.validation import MainLoss

from ..tiny import Images, backend, normalise, tiny_net
from .test_faults import records
from .test_trainer import run

WEIGHTS = [1.0, 2.0, 0.5, 3.0, 1.0]


def cross_entropies(net, pixels, mask, divisor=8):
    """(-log p at the label, label) of an image's valid pixels, by MXNet's operators.

    The image is padded to what the network takes.
    """
    height, width = mask.shape
    x = np.zeros((1, 3, -(-height // divisor) * divisor, -(-width // divisor) * divisor))
    x[:, :, :height, :width] = normalise(pixels)
    logits = net(mx.nd.array(x))[0][:, :, :height, :width]
    log_p = mx.nd.log_softmax(logits, axis=1).asnumpy()[0]
    valid = mask != IGNORE
    return -np.take_along_axis(log_p, np.where(valid, mask, 0)[None], 0)[0][valid], mask[valid]


def mean(parts, weights=None):
    """The mean over all pixels of [(losses, labels)]."""
    loss, label = (np.concatenate(x) for x in zip(*parts))
    weight = np.ones(5) if weights is None else np.array(weights)
    return (weight[label] * loss).sum() / weight[label].sum()


def measured(net, dataset, protocol, name="cross_entropy", class_weights=None, **options):
    loss = losses.create(name, net, [0.4], class_weights=class_weights, **options)
    metric = MainLoss(dataset.info, loss)
    return evaluate(backend(net), dataset, protocol, [metric])["validation_loss"], metric


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("align_corners", [True, False])
def test_it_is_the_mean_over_all_valid_pixels_of_the_split(weights, align_corners):
    net, dataset = tiny_net(divisor=8, align_corners=align_corners), Images()
    dataset.samples[1].mask[:20] = IGNORE  # images do not count alike
    wanted = mean([cross_entropies(net, s.image, s.mask) for s in dataset.samples], weights)
    found, _ = measured(net, dataset, Protocol(), class_weights=weights)
    assert found == pytest.approx(wanted, rel=1e-4)


def test_of_windows_it_is_the_mean_over_them():
    net, dataset = tiny_net(divisor=8), Images()
    protocol = Protocol(mode="slide", crop_size=(32, 40), stride=(20, 24), flip=True,
                        scales=(0.5, 1.0))  # fmt: skip
    parts = []
    for sample in dataset.samples:
        plan = protocol.plan(*sample.mask.shape, 1.0)
        assert plan.before == (0, 0)
        for top, bottom in plan.rows:
            for left, right in plan.columns:
                pixels, mask = (x[top:bottom, left:right] for x in (sample.image, sample.mask))
                full = np.full((*plan.size, 3), 0.0)
                full[...] = backend(net).fill
                full[: mask.shape[0], : mask.shape[1]] = pixels
                labels = np.full(plan.size, IGNORE, np.uint8)
                labels[: mask.shape[0], : mask.shape[1]] = mask
                parts.append(cross_entropies(net, full, labels))
    assert len(parts) > len(dataset)
    found, _ = measured(net, dataset, protocol)
    # the padding is the mean colour, here as float and there rounded or 0 after normalisation
    assert found == pytest.approx(mean(parts), rel=1e-3)


@pytest.mark.parametrize("name", ["ohem", "dice", "lovasz", "focal", "boundary_aware"])
def test_other_losses_are_those_of_single_images(name):
    net, dataset = tiny_net(divisor=1), Images()
    loss = losses.create(name, net, [0.4]).of_main_output()
    total = weight = 0
    for sample in dataset.samples:
        logits = net.logits(mx.nd, mx.nd.array(normalise(sample.image)))[:1]
        with autograd.record():
            (value,) = loss([logits], [mx.nd.array(sample.mask[None], dtype="uint8")])
        valid = (sample.mask != IGNORE).sum()
        total, weight = total + value.asscalar() * valid, weight + valid
    assert measured(net, dataset, Protocol(), name)[0] == pytest.approx(total / weight, rel=1e-4)


def test_protocols_that_resize_images_have_one_too():
    net, dataset = tiny_net(divisor=8), Images()
    found, _ = measured(net, dataset, Protocol(base_size=96))
    assert 0.5 < found / measured(net, dataset, Protocol())[0] < 2


def test_workers_add_up_what_they_have():
    net, dataset = tiny_net(divisor=8), Images()
    whole, metric = measured(net, dataset, Protocol())
    parts = []
    for k in range(3):
        share = Images()
        share.samples = [dataset.samples[k]]
        parts.append(measured(net, share, Protocol())[1])
    sums = np.sum([[p.total, p.weight] for p in parts], axis=0)

    class Three(Group):
        def sum(self, values):
            assert values == [parts[0].total, parts[0].weight]
            return sums

    assert parts[0].summed(Three())["validation_loss"] == pytest.approx(whole, rel=1e-9)
    assert json.loads(json.dumps(metric.counts())) == metric.counts()


def test_without_a_valid_pixel_there_is_none():
    dataset = Images(num_classes=5)
    metric = MainLoss(dataset.info, losses.create("cross_entropy", tiny_net(), [0.4]))
    assert metric.result() == {"validation_loss": None}


# --- training batches ----------------------------------------------------------------------------


def test_the_score_is_that_of_the_logits_at_the_size_of_the_labels():
    net, rng = tiny_net(), np.random.RandomState(0)
    score, matrix = TrainingScore(net), ConfusionMatrix(5)
    for _ in range(2):
        x = mx.nd.array(rng.standard_normal((2, 3, 32, 40)))
        masks = rng.choice([0, 1, 2, 3, IGNORE], (2, 2, 32, 40)).astype(np.uint8)
        score.add(net.logits(mx.nd, x)[0], masks)
        classes = net(x)[0].asnumpy().argmax(axis=1).astype(np.uint8)
        for row, mask in zip(classes, masks[:, 0]):
            matrix.update(row, np.ascontiguousarray(mask))
    assert score.take(Group()) == pytest.approx(matrix.miou, abs=1e-3)  # ties within rounding
    assert score.take(Group()) is None  # it began anew


@pytest.mark.parametrize("network", ["bisenet", "pidnet"])
def test_a_run_notes_both(tmp_path, network):
    settings = {"model__name": network, "train__validate_every": 1, "train__epochs": 1}
    if network == "pidnet":  # its masks have boundary maps behind them
        settings.update(model__backbone=None, model__options={"planes": 8, "ppm_planes": 8})
    run(tmp_path, log__train_miou=True, **settings)
    *steps, validation = records(tmp_path)
    assert len(steps) == 3 and all(0 < r["train_miou"] < 1 for r in steps)
    assert validation["validation_loss"] > 0
    assert scalars(validation)["val/loss"] == validation["validation_loss"]
    assert scalars(steps[0])["train/miou"] == steps[0]["train_miou"]


def test_it_is_not_counted_unless_wanted(tmp_path):
    run(tmp_path, train__epochs=1)
    assert all("train_miou" not in record for record in records(tmp_path))
