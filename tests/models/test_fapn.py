"""FaPN: gradients of the alignment, which no CPU operator of MXNet has."""

import mxnet as mx
import numpy as np

from mxnetseg.models.fapn import FeatureAlign
from tests.gradients import check_gradients, loss_and_gradients


def _block():
    mx.random.seed(0)
    block = FeatureAlign(3)
    block.initialize(mx.init.Xavier())
    return block


def test_offsets_start_at_zero_and_learn():
    block = _block()
    rng = np.random.RandomState(0)
    inputs = [rng.randn(2, 256, 2, 3).astype("f4"), rng.randn(2, 3, 4, 5).astype("f4")]
    assert not block.align.offset_weight.data().asnumpy().any()
    _, gradients = loss_and_gradients(block, inputs, hybrid=True)
    assert all(np.abs(g).max() > 0 for g in gradients.values())


def test_gradients():
    block = _block()
    rng = np.random.RandomState(1)
    offsets = rng.randint(-2, 2, 144) + 0.4  # away from whole pixels, where gradients jump
    bias = np.concatenate([offsets, 0.3 * rng.randn(72)])
    block.align.offset_bias.set_data(mx.nd.array(bias))
    inputs = [rng.randn(4, 256, 2, 3).astype("f4"), rng.randn(4, 3, 4, 5).astype("f4")]
    check_gradients(block, inputs, step=5e-4, tolerance=5e-2)
