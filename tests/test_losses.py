"""Losses: values and gradients against a slow implementation, whatever the split over devices."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import losses, models
from mxnetseg.errors import UsageError

CLASSES = 5
WEIGHTS = [0.5, 1, 1.5, 2, 0.25]


def log_softmax(z):
    z = z.astype(np.float64) - z.max(1, keepdims=True)
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def slow(z, y, class_weights=None):
    """(per-pixel loss, per-pixel weight, gradient of the sum of weighted losses)."""
    valid = y != 255
    index = np.where(valid, y, 0).astype(int)
    log_p = log_softmax(z)
    loss = -np.take_along_axis(log_p, index[:, None], 1)[:, 0]
    weight = (np.ones(CLASSES) if class_weights is None else np.array(class_weights))[index] * valid
    one_hot = np.arange(CLASSES)[None, :, None, None] == index[:, None]
    return loss, weight, np.exp(log_p) - one_hot


@pytest.fixture
def batch():
    rng = np.random.RandomState(0)
    z = rng.randn(4, CLASSES, 9, 7).astype(np.float32)
    y = rng.randint(0, CLASSES, (4, 9, 7)).astype(np.uint8)
    y[0, :5] = 255  # the devices get different numbers of valid pixels
    return z, y


def run(loss, z, y, shares=(4,)):
    """Value and gradient of a loss over the batch in ``shares`` per device."""
    cuts = np.cumsum(shares)[:-1]
    contexts = [mx.cpu(i) for i in range(len(shares))]
    logits = [mx.nd.array(p, ctx=c) for p, c in zip(np.split(z, cuts), contexts)]
    labels = [mx.nd.array(p, ctx=c, dtype="uint8") for p, c in zip(np.split(y, cuts), contexts)]
    for x in logits:
        x.attach_grad()
    with autograd.record():
        parts = loss([(x,) for x in logits], labels)
    autograd.backward(parts)
    gradient = np.concatenate([x.grad.asnumpy() for x in logits])
    return sum(p.asscalar() for p in parts), gradient


@pytest.mark.parametrize("shares", [(4,), (1, 3), (2, 1, 1)])
@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
def test_cross_entropy_is_the_mean_over_the_valid_pixels_of_the_whole_batch(
    batch, class_weights, shares
):
    value, gradient = run(losses.CrossEntropy(CLASSES, class_weights=class_weights), *batch, shares)
    loss, weight, g = slow(*batch, class_weights)
    np.testing.assert_allclose(value, (loss * weight).sum() / weight.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, g * weight[:, None] / weight.sum(), atol=1e-7)


@pytest.mark.parametrize("shares", [(4,), (1, 3)])
@pytest.mark.parametrize("threshold, min_kept", [(0.2, 1), (0.01, 40), (0.7, 10**6), (1.0, 5)])
def test_ohem_keeps_the_hard_pixels(batch, threshold, min_kept, shares):
    value, gradient = run(
        losses.OHEM(CLASSES, threshold=threshold, min_kept=min_kept), *batch, shares
    )
    loss, weight, g = slow(*batch)
    ranked = np.sort(loss[weight > 0])[::-1]
    limit = -np.log(threshold)
    if min_kept >= weight.size:
        limit = 0
    elif min_kept <= len(ranked):
        limit = min(limit, ranked[min_kept - 1])
    kept = (weight > 0) & (loss >= limit - 1e-6)
    np.testing.assert_allclose(value, loss[kept].mean(), rtol=1e-5)
    np.testing.assert_allclose(gradient, g * kept[:, None] / kept.sum(), atol=1e-7)


@pytest.mark.parametrize("name", ["cross_entropy", "ohem"])
def test_no_valid_pixel_gives_zero_and_a_wrong_label_never_trains_silently(batch, name):
    loss = losses.registry.get(name)(CLASSES)
    z, y = batch
    value, gradient = run(loss, z, np.full_like(y, 255))
    assert value == 0 and not gradient.any()
    for wrong in (CLASSES, 77, 254):
        y[2, 3, 3] = wrong
        assert np.isnan(run(loss, z, y)[0])


def test_auxiliary_weights_reach_the_gradient(batch):
    z, y = batch
    loss = losses.CrossEntropy(CLASSES, (1.0, 0.25))
    main, aux = mx.nd.array(z), mx.nd.array(z)
    main.attach_grad()
    aux.attach_grad()
    with autograd.record():
        (value,) = loss([(main, aux)], [mx.nd.array(y)])
    value.backward()
    np.testing.assert_allclose(aux.grad.asnumpy(), 0.25 * main.grad.asnumpy(), atol=1e-9)


@pytest.mark.parametrize("align_corners", [True, False])
def test_enlarges_the_logits_as_the_network_would(align_corners):
    mx.random.seed(3)
    z = mx.nd.random.normal(shape=(2, CLASSES, 4, 3))
    y = mx.nd.array(np.random.RandomState(1).randint(0, CLASSES, (2, 13, 10)))
    net = models.create("fcn", CLASSES, backbone="resnet18", aux=False)
    net.align_corners = align_corners
    loss = losses.create("cross_entropy", net)
    from mxnetseg.nn import resize_like

    large = resize_like(mx.nd, z, y.expand_dims(1), align_corners)
    small_value = loss([(z,)], [y])[0].asscalar()
    np.testing.assert_allclose(small_value, loss([(large,)], [y])[0].asscalar(), rtol=1e-5)


def test_recorded_values():
    """MixedCELoss of MXNetSeg, which is a mean over all pixels: ours is over the valid ones."""
    from tests.reference.synthetic import image

    z = image((2, 5, 6, 7), 3)
    n, i, j = np.mgrid[0:2, 0:6, 0:7]
    y = (7 * i + 3 * j + n) % 6 - 1
    value, _ = run(losses.CrossEntropy(5), z, np.where(y < 0, 255, y).astype(np.uint8))
    np.testing.assert_allclose(value, (1.640305 + 1.445164) / 2 * 42 / 35, rtol=1e-5)


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
