"""ACFNet: the class features against the formula of the original."""

import mxnet as mx
import numpy as np

from mxnetseg.models.acfnet import ClassFeature
from tests.gradients import check_gradients


def _block():
    mx.random.seed(0)
    block = ClassFeature(6)
    block.initialize(mx.init.Xavier())
    return block


def test_equals_the_formula():
    block = _block()
    rng = np.random.RandomState(0)
    x, s = rng.randn(2, 6, 3, 4), rng.randn(2, 5, 3, 4)
    features = block.conv_1(mx.nd.array(x)).asnumpy().reshape(2, 6, 12)
    scores = s.reshape(2, 5, 12)
    energy = scores @ features.transpose(0, 2, 1)
    energy = energy.max(axis=2, keepdims=True) - energy
    weights = np.exp(energy - energy.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    y = (weights.transpose(0, 2, 1) @ scores).reshape(2, 6, 3, 4)
    want = block.conv_2(mx.nd.array(y)).asnumpy()
    got = block(mx.nd.array(x), mx.nd.array(s)).asnumpy()
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_gradients():
    rng = np.random.RandomState(1)
    x, s = rng.randn(2, 6, 3, 4), rng.randn(2, 5, 3, 4)
    check_gradients(_block(), [0.5 * x.astype(np.float32), 0.5 * s.astype(np.float32)], step=2e-3)
