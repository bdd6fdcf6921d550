"""The whole loss: outputs and sums with their weights, steps in parts, devices, wrong use."""

import numpy as np
import pytest

from mxnetseg import losses, models
from mxnetseg.errors import UsageError

from . import slow
from .run import make, run
from .slow import CLASSES, WEIGHTS


def test_auxiliary_weights_reach_the_gradient(batch):
    z, y = batch
    loss = make("cross_entropy", ("main", 1.0), ("aux", 0.25))
    _, (main, aux) = run(loss, [z, z], y)
    assert main.any()
    np.testing.assert_allclose(aux, 0.25 * main, atol=1e-9)


@pytest.mark.parametrize("shares", [(4,), (1, 3)], ids=str)
def test_a_sum_has_the_weights_and_options_of_its_losses(batch, shares):
    z, y = batch
    names = [["cross_entropy", 1], ["dice", 0.5], ["lovasz", 2.0]]
    options = {"cross_entropy": {"label_smoothing": 0.1}, "dice": {"smooth": 0, "exponent": 2}}
    outputs = ("main", 1.0), ("aux", 0.4)
    loss = make(names, *outputs, class_weights=WEIGHTS, **options)
    assert loss.names == tuple(f"{o}.{n}" for o, _ in outputs for n, _ in names)
    parts, gradients = run(loss, [z, -z], y, shares, parts=True)
    value, _ = run(loss, [z, -z], y, shares)
    assert value == pytest.approx(parts.sum(), rel=1e-6)
    wanted, sums = [], [0, 0]
    for k, (_, share) in enumerate(outputs):
        for name, weight in names:
            x, own = [z, -z][k], options.get(name, {})
            single = make(name, class_weights=WEIGHTS, **own)
            wanted.append(share * weight * getattr(slow, name)(x, y, WEIGHTS, **own))
            sums[k] = sums[k] + share * weight * run(single, [x], y, shares)[1][0]
    np.testing.assert_allclose(parts, wanted, rtol=1e-5)
    for gradient, total in zip(gradients, sums):
        np.testing.assert_allclose(gradient, total, atol=1e-7)


@pytest.mark.parametrize(
    "name, options",
    [
        ("cross_entropy", {}),
        ("ohem", {"threshold": 0.2, "min_share": 0.3}),
        ("dice", {}),
        ("lovasz", {}),
    ],
)
def test_each_device_may_have_a_loss_of_its_own(batch, name, options):
    """As frameworks do it that compute the loss on each device: the mean of the devices' losses."""
    z, y = batch
    shares, cut = (1, 3), 1
    value, (gradient,) = run(make(name, per="device", **options), [z], y, shares)
    own = [run(make(name, **options), [z[part]], y[part], (len(z[part]),))
           for part in (slice(0, cut), slice(cut, None))]  # fmt: skip
    assert value == pytest.approx(np.mean([v for v, _ in own]), rel=1e-6)
    expected = np.concatenate([g for _, (g,) in own]) / 2
    np.testing.assert_allclose(gradient, expected, atol=1e-8)
    whole, (other,) = run(make(name, **options), [z], y, shares)
    assert abs(value - whole) > 1e-4 and abs(gradient - other).max() > 1e-5


def test_the_least_share_of_hard_pixels_is_one_of_the_valid_pixels(batch):
    """A tenth of 50 pixels is 5; 27 tenths of the 252 - 35 of the whole batch are 58.59."""
    z, y = batch
    y[:] = 255
    y.reshape(4, -1)[2, :50] = 1
    _, (gradient,) = run(make("ohem", threshold=1e-6, min_share=0.1), [z], y)
    assert np.count_nonzero(abs(gradient).sum(1)) == 5
    y[:] = 1
    y[0, :5] = 255
    _, (gradient,) = run(make("ohem", threshold=1e-6, min_share=0.27), [z], y, (1, 3))
    assert np.count_nonzero(abs(gradient).sum(1)) == 58


PARTS = [
    ("cross_entropy", {}, True),
    ("cross_entropy", {"label_smoothing": 0.1}, True),
    ("focal", {}, True),
    ("ohem", {"threshold": 0.2, "min_kept": 1}, False),
    ("dice", {}, False),
    ("lovasz", {}, False),
]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("name, options, exact", PARTS, ids=str)
def test_micro_batches_and_machines_make_the_step_of_the_whole_batch(
    batch, name, options, exact, weighted
):
    """Means over pixels exactly; others are each part's own loss times its share of the pixels."""
    z, y = batch
    loss = make(name, class_weights=WEIGHTS if weighted else None, **options)
    pieces = [slice(0, 1), slice(1, 4)]
    total = sum(loss.normalizer([y[piece]]) for piece in pieces)
    np.testing.assert_allclose(total[:4], loss.normalizer([y])[:4])
    found = [run(loss, [z[p]], y[p], (len(z[p]),), total) for p in pieces]
    if exact:
        value, (gradient,) = run(loss, [z], y)
    else:
        valid = [(y[p] != 255).sum() for p in pieces]
        shares = np.array(valid) / sum(valid)
        own = [run(loss, [z[p]], y[p], (len(z[p]),)) for p in pieces]
        value = np.dot(shares, [v for v, _ in own])
        gradient = np.concatenate([s * g for s, (_, (g,)) in zip(shares, own)])
    assert sum(v for v, _ in found) == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(np.concatenate([g for _, (g,) in found]), gradient, atol=1e-7)


@pytest.mark.parametrize("given", [False, True], ids=["", "maps"])
def test_a_step_in_parts_shares_the_boundary_maps_numbers(blocks, given):
    *outputs, y = blocks
    if given:
        y = np.stack([y, np.random.RandomState(4).rand(*y.shape) < 0.2], 1).astype(np.uint8)
    loss = make("cross_entropy", ("main", 1.0), ("aux", 0.4), ("boundary", 20.0))
    value, gradients = run(loss, outputs, y)
    pieces = [slice(0, 1), slice(1, 4)]
    total = sum(loss.normalizer([y[p]]) for p in pieces)
    found = [run(loss, [x[p] for x in outputs], y[p], (len(y[p]),), total) for p in pieces]
    assert sum(v for v, _ in found) == pytest.approx(value, rel=1e-5)
    for k, gradient in enumerate(gradients):
        again = np.concatenate([g[k] for _, g in found])
        np.testing.assert_allclose(again, gradient, atol=1e-7)


def test_devices_with_losses_of_their_own_stay_so_in_steps_in_parts(batch):
    z, y = batch
    loss = make("cross_entropy", per="device")
    total = sum(loss.normalizer([y[p]]) for p in (slice(0, 1), slice(1, 4)))
    found = [run(loss, [z[p]], y[p], (len(z[p]),), total) for p in (slice(0, 1), slice(1, 4))]
    value, (gradient,) = run(loss, [z], y, (1, 3))
    assert sum(v for v, _ in found) == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(np.concatenate([g for _, (g,) in found]), gradient, atol=1e-8)


def test_wrong_use_is_explained():
    net = models.create("bisenet", CLASSES)
    with pytest.raises(UsageError, match="2 auxiliary outputs"):
        losses.create("cross_entropy", net, [0.4])
    with pytest.raises(UsageError, match="Unknown loss 'cross_entropi'. Did you mean"):
        losses.create("cross_entropi", net)
    with pytest.raises(UsageError, match="Unknown option"):
        losses.create("ohem", net, treshold=0.5)
    with pytest.raises(UsageError, match="3 numbers for 5 classes"):
        losses.create("cross_entropy", net, class_weights=[1, 2, 3])
    with pytest.raises(UsageError, match="not negative"):
        losses.create("cross_entropy", net, class_weights=[1, 2, 3, 4, -1])
    with pytest.raises(UsageError, match="average: micro"):
        losses.create("dice", net, class_weights=WEIGHTS, average="micro")
    with pytest.raises(UsageError, match=r"'devise'. Did you mean device"):
        losses.create("ohem", net, per="devise")


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("ohem", {"threshold": 0}, "threshold"),
        ("ohem", {"threshold": 1.5}, "at most 1"),
        ("ohem", {"threshold": "a"}, "not 'a'"),
        ("ohem", {"min_kept": -1}, "whole number"),
        ("ohem", {"min_kept": 2.5}, "whole number"),
        ("ohem", {"min_kept": 5, "min_share": 0.5}, "not both"),
        ("ohem", {"min_share": 1.5}, "a share"),
        ("cross_entropy", {"label_smoothing": 1}, "below 1"),
        ("cross_entropy", {"label_smoothing": float("nan")}, "label_smoothing"),
        ("focal", {"gamma": -1}, "at least 0"),
        ("focal", {"gamma": True}, "not True"),
        ("dice", {"exponent": 3}, "1 or 2"),
        ("dice", {"average": "mean"}, "macro or micro"),
        ("tversky", {"alpha": -0.1}, "alpha"),
        ("lovasz", {"per_image": "yes"}, "true or false"),
        ("boundary_aware", {"edge_threshold": 1}, "below 1"),
        ("boundary_aware", {"ohem": 1}, "true or false"),
        ([], {}, "one or more"),
        ([["dice", 1], ["dice", 2]], {}, "each of them once"),
        ([["dice", 0]], {}, "above 0"),
        ([["dice", 1], ["ohem", 1]], {"threshold": 0.5}, "loss.options"),
        ([["dice", 1], ["ohem", 1]], {"ohem": 0.5}, "mapping"),
        ([["dice", 1], ["ohem", 1]], {"ohem": {"treshold": 0.5}}, "Did you mean threshold"),
        ([["dise", 1]], {}, "Did you mean dice"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(name, options, words):
    with pytest.raises(UsageError, match=words):
        losses.summands(name, options)


def test_numbers_may_be_written_as_yaml_reads_texts():
    (summand,) = losses.summands("tversky", {"smooth": "1e-3"})
    assert summand.criterion.smooth == 1e-3
