"""Joining maps of channel counts that MXNet's concat cannot differentiate on CPUs."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from mxnetseg.nn import concat, conv2d
from tests.gradients import check_gradients

CHANNELS = [(10, 22), (24, 24), (80, 20, 20, 20, 20), (16, 5), (40, 16)]


class Join(gluon.HybridBlock):
    """Maps joined in front of a convolution, whose gradient oneDNN holds in blocks of channels."""

    def __init__(self, channels):
        super().__init__()
        self._channels = channels
        self.conv = conv2d(sum(channels), 32)

    def hybrid_forward(self, F, *maps):
        return self.conv(concat(F, maps, self._channels))


@pytest.mark.parametrize("channels", CHANNELS)
def test_equals_concat(channels):
    maps = [mx.nd.random.normal(shape=(2, c, 3, 4)) for c in channels]
    want = mx.nd.concat(*maps, dim=1).asnumpy()
    np.testing.assert_array_equal(concat(mx.nd, maps, channels).asnumpy(), want)


@pytest.mark.parametrize("channels", CHANNELS)
def test_gradients(channels):
    block = Join(channels)
    block.initialize(mx.init.Xavier())
    rng = np.random.RandomState(0)
    check_gradients(block, [rng.randn(2, c, 3, 4).astype(np.float32) for c in channels])
