"""Losses: values and gradients against a slow implementation, whatever the split over devices."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import losses, models
from mxnetseg.boundary import edge_map
from mxnetseg.errors import UsageError
from mxnetseg.losses import host
from mxnetseg.nn import resize_like

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


@pytest.fixture(params=["host", "operators"])
def batch(request, monkeypatch):
    if request.param == "operators":  # as on a GPU
        monkeypatch.setenv("MXNETSEG_GPU_PATH", "1")
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


def test_large_logits_keep_their_loss(batch):
    """Of a pixel far below the batch's largest logit as well: no exp becomes 0 or infinite."""
    z, y = batch
    z = 100 * z
    z[1] -= 500
    value, gradient = run(losses.CrossEntropy(CLASSES), z, y)
    loss, weight, g = slow(z, y)
    np.testing.assert_allclose(value, (loss * weight).sum() / weight.sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, g * weight[:, None] / weight.sum(), atol=1e-6)


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
@pytest.mark.parametrize("size", [(4, 3), (9, 6), (13, 3), (13, 10)])
def test_enlarges_the_logits_as_the_network_would(align_corners, size, monkeypatch):
    """On the host, in strips, and with operators: the same value and gradient as of a resize."""
    monkeypatch.setattr(host, "STRIP_VALUES", 200)
    mx.random.seed(3)
    z = mx.nd.random.normal(shape=(2, CLASSES, *size))
    labels = np.random.RandomState(1).choice([0, 1, 2, 3, 4, 255], (2, 13, 10))
    y = mx.nd.array(labels, dtype="uint8")
    z.attach_grad()
    large = y.expand_dims(1).astype("float32")
    with autograd.record():
        large = resize_like(mx.nd, z, large, align_corners)
        log_p = mx.nd.log_softmax(large, axis=1)
        picked = mx.nd.pick(log_p, y.astype("float32"), axis=1) * mx.nd.array(labels != 255)
        expected = -picked.sum() / (labels != 255).sum()
    expected.backward()
    wanted = z.grad.asnumpy()
    for like_gpu in ("0", "1"):
        monkeypatch.setenv("MXNETSEG_GPU_PATH", like_gpu)
        loss = losses.CrossEntropy(CLASSES, align_corners=align_corners)
        with autograd.record():
            (value,) = loss([(z,)], [y])
        value.backward()
        np.testing.assert_allclose(value.asscalar(), expected.asscalar(), rtol=1e-5)
        np.testing.assert_allclose(z.grad.asnumpy(), wanted, atol=1e-7)


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


# --- boundaries ----------------------------------------------------------------------------------


def slow_boundary_aware(z, aux, b, y, class_weights, kept=131072, threshold=0.9):
    """The four parts, as the formula of SANet and PIDNet says them."""
    loss, weight, _ = slow(z, y, class_weights)
    weighted = loss * weight

    def hard_mean(valid):
        q = np.sort(np.exp(-loss[valid]))
        if not q.size:
            return 0.0
        keep = valid & (np.exp(-loss) < max(q[min(kept, q.size - 1)], threshold))
        return weighted[keep].mean() if keep.any() else 0.0

    aux_loss, aux_weight, _ = slow(aux, y, class_weights)
    t = np.stack([edge_map(m, frame=0) for m in y]).astype(np.float64)
    sigma = 1 / (1 + np.exp(-b[:, 0].astype(np.float64)))
    bce = -(t * np.log(sigma) + (1 - t) * np.log(1 - sigma))
    balance = np.where(t == 1, (t == 0).mean(), (t == 1).mean())
    return (
        hard_mean(y != 255),
        (aux_loss * aux_weight).mean(),
        (balance * bce).mean(),
        hard_mean((y != 255) & (sigma > 0.8)),
    )


@pytest.fixture
def blocks():
    """Logits, auxiliary and boundary logits, and labels in blocks of 4 x 4 pixels."""
    rng = np.random.RandomState(1)
    z, aux = (rng.randn(4, CLASSES, 16, 24).astype(np.float32) * 2 for _ in range(2))
    b = rng.randn(4, 1, 16, 24).astype(np.float32) * 2
    y = np.kron(rng.randint(0, CLASSES, (4, 4, 6)), np.ones((4, 4))).astype(np.uint8)
    y[0, :9] = 255
    return z, aux, b, y


def run_three(loss, z, aux, b, y, shares):
    cuts = np.cumsum(shares)[:-1]
    contexts = [mx.cpu(i) for i in range(len(shares))]
    outputs = []
    for parts in zip(contexts, *(np.split(v, cuts) for v in (z, aux, b))):
        outputs.append([mx.nd.array(p, ctx=parts[0]) for p in parts[1:]])
    labels = [mx.nd.array(p, ctx=c, dtype="uint8") for p, c in zip(np.split(y, cuts), contexts)]
    for x in sum(outputs, []):
        x.attach_grad()
    with autograd.record():
        parts = loss(outputs, labels)
    autograd.backward(parts)
    gradients = [np.concatenate([o[k].grad.asnumpy() for o in outputs]) for k in range(3)]
    return sum(p.asscalar() for p in parts), gradients


@pytest.mark.parametrize("shares", [(4,), (1, 3)])
@pytest.mark.parametrize("kept", [100, 131072])
def test_the_boundary_aware_loss_has_its_four_parts(blocks, kept, shares):
    loss = losses.BoundaryAware(
        CLASSES, (1.0, 0.4, 20.0), class_weights=WEIGHTS, boundaries=(2,), min_kept=kept
    )
    value, gradients = run_three(loss, *blocks, shares)
    main, aux, edge, joint = slow_boundary_aware(*blocks, WEIGHTS, kept)
    assert min(main, aux, edge, joint) > 0
    assert value == pytest.approx(main + 0.4 * aux + 20 * edge + joint, rel=1e-5)
    rng = np.random.RandomState(2)
    for k, gradient in enumerate(gradients):  # finite differences where the hard set stays as it is
        maps = [v.astype(np.float64) for v in blocks[:3]]
        for _ in range(3):
            i = tuple(rng.randint(n) for n in maps[k].shape)
            ends = []
            for step in (1e-4, -1e-4):
                moved = [v.copy() for v in maps]
                moved[k][i] += step
                m, a, e, j = slow_boundary_aware(*moved, blocks[3], WEIGHTS, kept)
                ends.append(m + 0.4 * a + 20 * e + j)
            assert gradient[i] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-2, abs=1e-6)


def test_cross_entropy_gives_a_boundary_output_its_balanced_loss(blocks):
    loss = losses.CrossEntropy(CLASSES, (1.0, 0.4, 20.0), boundaries=(2,))
    value, _ = run_three(loss, *blocks, (2, 2))
    z, aux, b, y = blocks
    valid = y != 255
    expected = slow(z, y)[0][valid].mean() + 0.4 * slow(aux, y)[0][valid].mean()
    expected += 20 * slow_boundary_aware(*blocks, None)[2]
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("label", [255, 2])
def test_the_boundary_aware_loss_without_valid_or_hard_pixels_is_finite(blocks, label):
    z, aux, b, y = blocks
    z = np.zeros_like(z)
    z[:, 2] = 30
    loss = losses.BoundaryAware(CLASSES, (1.0, 0.4, 20.0), boundaries=(2,))
    value, gradients = run_three(loss, z, aux, b - 9, np.full_like(y, label), (4,))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients) and not gradients[0].any()


def test_an_invalid_label_makes_the_boundary_aware_loss_not_a_number(blocks):
    z, aux, b, y = blocks
    y = y.copy()
    y[3, 0, 0] = 17
    loss = losses.BoundaryAware(CLASSES, (1.0, 0.4, 20.0), boundaries=(2,))
    assert np.isnan(run_three(loss, z, aux, b, y, (4,))[0])


def test_a_network_with_a_boundary_output_gets_the_boundary_loss():
    net = models.create("sanet", CLASSES, initialize=False)
    for name in ("cross_entropy", "ohem", "boundary_aware"):
        assert losses.create(name, net).boundaries == (2,)
    with pytest.raises(UsageError, match="boundaries"):
        losses.create("ohem", net, boundaries=())
