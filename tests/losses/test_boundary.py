"""The loss of networks with a boundary output."""

import numpy as np
import pytest

from mxnetseg import losses, models
from mxnetseg.boundary import edge_map
from mxnetseg.errors import UsageError

from . import slow
from .run import make, numeric, run
from .slow import CLASSES, WEIGHTS

OUTPUTS = ("main", 1.0), ("aux", 0.4), ("boundary", 20.0)


@pytest.mark.parametrize("ohem", [True, False])
@pytest.mark.parametrize("shares", [(4,), (1, 3)], ids=str)
@pytest.mark.parametrize("kept", [100, 131072])
def test_the_boundary_aware_loss_has_its_four_parts(blocks, kept, shares, ohem):
    *outputs, y = blocks
    loss = make("boundary_aware", *OUTPUTS, class_weights=WEIGHTS, min_kept=kept, ohem=ohem)
    found, gradients = run(loss, outputs, y, shares, parts=True)
    parts = slow.boundary_parts(*blocks, WEIGHTS, kept, ohem=ohem)
    assert min(parts) > 0 and loss.names == ("main", "aux", "boundary", "joint")
    np.testing.assert_allclose(found, np.multiply(parts, [1, 0.4, 20, 1]), rtol=1e-5)
    value, again = run(loss, outputs, y, shares)
    assert value == pytest.approx(found.sum(), rel=1e-6)
    for k, gradient in enumerate(gradients):
        np.testing.assert_array_equal(gradient, again[k])

        def total(x, k=k):
            moved = [x if i == k else v for i, v in enumerate(outputs)]
            parts = slow.boundary_parts(*moved, y, WEIGHTS, kept, ohem=ohem)
            return np.dot(parts, [1, 0.4, 20, 1])

        places, slopes = numeric(total, outputs[k], count=6)
        np.testing.assert_allclose(gradient[places], slopes, rtol=1e-2, atol=1e-6)


def test_the_joint_part_can_be_left_out(blocks):
    """Nothing but that part goes: neither from the values nor from the gradients."""
    *outputs, y = blocks
    whole = make("boundary_aware", *OUTPUTS, min_kept=100)
    without = make("boundary_aware", *OUTPUTS, min_kept=100, joint_weight=0)
    assert without.names == ("main", "aux", "boundary")
    parts, gradients = run(whole, outputs, y, parts=True)
    fewer, others = run(without, outputs, y, parts=True)
    np.testing.assert_array_equal(fewer, parts[:3])
    assert (gradients[0] != others[0]).any()
    np.testing.assert_array_equal(gradients[1], others[1])
    half, _ = run(make("boundary_aware", *OUTPUTS, min_kept=100, joint_weight=0.5), outputs, y,
                  parts=True)  # fmt: skip
    assert half[3] == pytest.approx(parts[3] / 2, rel=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice"])
def test_any_loss_gives_a_boundary_output_its_balanced_one(blocks, name):
    *outputs, y = blocks
    value, _ = run(make(name, *OUTPUTS), outputs, y, (2, 2))
    function = getattr(slow, name)
    expected = function(outputs[0], y) + 0.4 * function(outputs[1], y)
    expected += 20 * slow.boundary_parts(*blocks)[2]
    assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("shares", [(4,), (1, 3)], ids=str)
def test_a_boundary_map_that_is_given_is_the_target(blocks, shares):
    *outputs, y = blocks
    loss = make("boundary_aware", *OUTPUTS, min_kept=100)
    made = np.stack([edge_map(m, frame=0) for m in y])
    own, _ = run(loss, outputs, y, shares)
    given, _ = run(loss, outputs, np.stack([y, made], 1), shares)
    assert given == own
    edges = np.zeros_like(y)
    edges[:, 3:7, 2:20] = 1
    found, _ = run(loss, outputs, np.stack([y, edges], 1), shares, parts=True)
    wanted = slow.boundary_parts(*blocks, min_kept=100, edges=edges)
    np.testing.assert_allclose(found, np.multiply(wanted, [1, 0.4, 20, 1]), rtol=1e-5)
    # a network without such an output has no use for it
    plain = make("cross_entropy")
    assert run(plain, outputs[:1], np.stack([y, edges], 1))[0] == run(plain, outputs[:1], y)[0]


@pytest.mark.parametrize("ohem", [True, False])
@pytest.mark.parametrize("label", [255, 2])
def test_the_boundary_aware_loss_without_valid_or_hard_pixels_is_finite(blocks, label, ohem):
    z, aux, b, y = blocks
    z = np.zeros_like(z)
    z[:, 2] = 30
    loss = make("boundary_aware", *OUTPUTS, ohem=ohem)
    value, gradients = run(loss, [z, aux, b - 9], np.full_like(y, label))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)
    # none is hard; otherwise what float32 leaves of logits of 30, 1.9e-6, over 1500 pixels
    assert abs(gradients[0]).max() <= (0 if ohem else 2e-9)


def test_an_invalid_label_makes_the_boundary_aware_loss_not_a_number(blocks):
    z, aux, b, y = blocks
    y[3, 0, 0] = 17
    for options in ({}, {"ohem": False}, {"joint_weight": 0}):
        assert np.isnan(run(make("boundary_aware", *OUTPUTS, **options), [z, aux, b], y)[0])


def test_a_network_with_a_boundary_output_gets_the_boundary_loss():
    net = models.create("sanet", CLASSES, initialize=False)
    for name in ("cross_entropy", "ohem", "boundary_aware", [["dice", 1], ["focal", 2.0]]):
        loss = losses.create(name, net)
        assert loss.output_names == ("main", "aux", "boundary") and "boundary" in loss.names
        assert ("joint" in loss.names) == (name == "boundary_aware")
    with pytest.raises(UsageError, match="boundaries"):
        losses.create("ohem", net, boundaries=())
