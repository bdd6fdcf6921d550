"""Values and gradients against the formulas, whatever the split over devices."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import losses
from mxnetseg.losses import host
from mxnetseg.nn import resize_like

from . import slow
from .run import make, numeric, run
from .slow import CLASSES, WEIGHTS

CASES = [
    ("cross_entropy", {}),
    ("cross_entropy", {"label_smoothing": 0.2}),
    ("focal", {}),
    ("focal", {"gamma": 0.5}),
    ("focal", {"gamma": 0}),
    ("ohem", {"threshold": 0.2, "min_kept": 1}),
    ("ohem", {"threshold": 0.01, "min_kept": 40}),
    ("ohem", {"threshold": 0.1, "min_kept": 0, "label_smoothing": 0.1}),
    ("ohem", {}),
    ("ohem", {"threshold": 1.0, "min_kept": 5}),
    ("ohem", {"threshold": 0.01, "min_share": 0.25}),
    ("ohem", {"threshold": 0.2, "min_share": 0.0}),
    ("dice", {}),
    ("dice", {"exponent": 2, "smooth": 0}),
    ("dice", {"exponent": 2, "average": "micro", "smooth": 3.0}),
    ("tversky", {}),
    ("tversky", {"alpha": 1.0, "beta": 0, "smooth": 0}),
    ("lovasz", {}),
    ("lovasz", {"per_image": True}),
]


def expected(name, options, z, y, class_weights=None):
    options = dict(options)
    if "min_share" in options:
        options["share"] = options.pop("min_share")
    return getattr(slow, name)(z, y, class_weights, **options)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("shares", [(4,), (1, 3)], ids=str)
@pytest.mark.parametrize("name, options", CASES, ids=str)
def test_value_and_gradient_are_those_of_the_formula(batch, name, options, shares, weighted):
    if weighted and options.get("average") == "micro":
        pytest.skip("has no class weights")
    z, y = batch
    class_weights = WEIGHTS if weighted else None
    loss = make(name, class_weights=class_weights, **options)
    value, (gradient,) = run(loss, [z], y, shares)
    assert value == pytest.approx(expected(name, options, z, y, class_weights), rel=1e-5)
    places, slopes = numeric(lambda x: expected(name, options, x, y, class_weights), z)
    np.testing.assert_allclose(gradient[places], slopes, rtol=1e-3, atol=2e-6)
    assert not gradient[0, :, :5].any()  # ignored pixels count nowhere


@pytest.mark.parametrize("name, options", CASES, ids=str)
def test_no_split_changes_the_gradient(batch, name, options):
    z, y = batch
    loss = make(name, **options)
    value, (gradient,) = run(loss, [z], y)
    for shares in ((1, 3), (2, 1, 1)):
        again, (split,) = run(loss, [z], y, shares)
        assert again == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(split, gradient, atol=1e-7)


NAMES = ["cross_entropy", "ohem", "focal", "dice", "tversky", "lovasz", "boundary_aware"]


@pytest.mark.parametrize("name", NAMES)
def test_no_valid_pixel_gives_zero_and_a_wrong_label_never_trains_silently(batch, name):
    loss = make(name)
    z, y = batch
    value, (gradient,) = run(loss, [z], np.full_like(y, 255))
    assert value == 0 and not gradient.any()
    for wrong in (CLASSES, 77, 254):
        y[2, 3, 3] = wrong
        assert np.isnan(run(loss, [z], y)[0])


def test_large_logits_keep_their_loss(batch):
    """Of a pixel far below the batch's largest logit as well: no exp becomes 0 or infinite."""
    z, y = batch
    z = 100 * z
    z[1] -= 500
    for name in ("cross_entropy", "focal", "dice", "lovasz"):
        value, (gradient,) = run(make(name), [z], y)
        assert value == pytest.approx(getattr(slow, name)(z, y), rel=1e-5)
        assert np.isfinite(gradient).all()


def test_a_certain_pixel_has_a_finite_gradient(batch):
    """Focal loss of p = 1: (1 - p)^(gamma - 1) is infinite there for gamma < 1."""
    z, y = batch
    z = np.where(np.arange(CLASSES)[None, :, None, None] == y[:, None], 200, 0).astype(np.float32)
    value, (gradient,) = run(make("focal", gamma=0.5), [z], y)
    assert abs(value) < 1e-9 and abs(gradient).max() < 1e-9


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("size", [(4, 3), (9, 6), (13, 3), (13, 10)], ids=str)
def test_enlarges_the_logits_as_the_network_would(align_corners, size, monkeypatch):
    """On the host, in strips, and with operators: the same value and gradient as of a resize."""
    monkeypatch.setattr(host, "STRIP_VALUES", 200)
    mx.random.seed(3)
    z = mx.nd.random.normal(shape=(2, CLASSES, *size))
    labels = np.random.RandomState(1).choice([0, 1, 2, 3, 4, 255], (2, 13, 10))
    y = mx.nd.array(labels, dtype="uint8")
    z.attach_grad()
    large = y.expand_dims(1).astype("float32")

    def both(loss, enlarged):
        with autograd.record():
            x = resize_like(mx.nd, z, large, align_corners) if enlarged else z
            (value,) = loss([(x,)], [y])
        value.backward()
        return value.asscalar(), z.grad.asnumpy()

    for name in NAMES[:-1]:
        wanted = both(make(name), True)
        for like_gpu in ("0", "1"):
            monkeypatch.setenv("MXNETSEG_GPU_PATH", like_gpu)
            value, gradient = both(make(name, align_corners=align_corners), False)
            assert value == pytest.approx(wanted[0], rel=1e-5)
            np.testing.assert_allclose(gradient, wanted[1], atol=2e-7)


def test_values_that_were_recorded():
    """MXNetSeg's losses. Some are means over all 42 pixels; ours are over the 35 valid ones."""
    from tests.reference.synthetic import image

    z = image((2, 5, 6, 7), 3)
    n, i, j = np.mgrid[0:2, 0:6, 0:7]
    y = (7 * i + 3 * j + n) % 6 - 1
    y = np.where(y < 0, 255, y).astype(np.uint8)
    value, _ = run(make("cross_entropy"), [z], y, (2,))
    assert value == pytest.approx((1.640305 + 1.445164) / 2 * 42 / 35, rel=1e-5)
    value, (gradient,) = run(make("focal"), [z], y, (2,))
    assert value == pytest.approx((1.230741 + 1.019012) / 2 * 42 / 35, rel=1e-5)
    assert abs(gradient).sum() == pytest.approx(3.032425 / 2 * 42 / 35, rel=1e-5)
    found = 0
    for k, recorded in enumerate((0.705590, 0.650685)):  # per sample, all classes together
        dice = make("dice", exponent=2, average="micro")
        value, (gradient,) = run(dice, [z[k : k + 1]], y[k : k + 1], (1,))
        assert value == pytest.approx(recorded, rel=1e-5)
        found += abs(gradient).sum()
    assert found == pytest.approx(0.866948, rel=1e-5)


def test_labels_may_be_float32(batch):
    z, y = batch
    for name in ("ohem", "dice"):
        x = mx.nd.array(z)
        x.attach_grad()
        with autograd.record():
            (value,) = make(name)([(x,)], [mx.nd.array(y, dtype="float32")])
        value.backward()
        wanted, (gradient,) = run(make(name), [z], y)
        assert value.asscalar() == wanted
        np.testing.assert_array_equal(x.grad.asnumpy(), gradient)


def test_logits_in_half_precision_are_widened(batch):
    z, y = batch
    value, _ = run(make("cross_entropy"), [z], y)
    x = mx.nd.array(z, dtype="float16")
    x.attach_grad()
    with autograd.record():
        (half,) = make("cross_entropy")([(x,)], [mx.nd.array(y, dtype="uint8")])
    half.backward()
    assert half.asscalar() == pytest.approx(value, rel=1e-3)
    assert x.grad.dtype == np.float16 and x.grad.asnumpy().any()


def test_lovasz_of_a_perfect_and_of_an_inverted_prediction(way):
    """0 and 1: 1 - IoU where the probabilities are 0 and 1. Logits of 50 are exact to 4e-6."""
    y = np.zeros((1, 4, 4), np.uint8)
    y[0, :, 2:] = 1
    one_hot = np.arange(CLASSES)[None, :, None, None] == y[:, None]
    right = np.where(one_hot, 50, 0).astype(np.float32)
    assert run(make("lovasz"), [right], y, (1,))[0] == pytest.approx(0, abs=1e-5)
    wrong = right[:, [1, 0, 2, 3, 4]]
    assert run(make("lovasz"), [wrong], y, (1,))[0] == pytest.approx(1, abs=1e-6)


def test_every_loss_is_tested():
    assert sorted(NAMES) == losses.registry.names()
