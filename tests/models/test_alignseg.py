"""AlignSeg: which offsets warp which map, and gradients through the warps."""

import mxnet as mx
import numpy as np

from mxnetseg import models
from mxnetseg.models.alignseg import Align
from mxnetseg.nn import warp
from tests.gradients import check_gradients


def _align():
    mx.random.seed(0)
    block = Align()
    block.initialize(mx.init.Xavier())
    return block


def test_the_first_offsets_warp_the_fine_map():
    block = _align()
    rng = np.random.RandomState(0)
    coarse, fine = (mx.nd.array(rng.randn(1, 256, 4, 5)) for _ in range(2))
    offset = block.delta(mx.nd.concat(coarse, fine, dim=1))
    want = warp(mx.nd, fine, offset[:, :2]) + warp(mx.nd, coarse, offset[:, 2:])
    np.testing.assert_allclose(block(coarse, fine).asnumpy(), want.asnumpy(), atol=1e-5)


def test_gradients():
    rng = np.random.RandomState(3)
    maps = [rng.randn(1, 256, 3, 4).astype("f4") for _ in range(2)]
    check_gradients(_align(), maps, step=2e-4, tolerance=5e-2)


def test_context_of_a_single_position_is_finite():
    """The operator that the original warps with divides by size - 1."""
    net = models.create("alignseg", 3, backbone="resnet18")
    (main, aux) = net(mx.nd.random.normal(shape=(1, 3, 20, 70)))
    assert np.isfinite(main.asnumpy()).all() and np.isfinite(aux.asnumpy()).all()
