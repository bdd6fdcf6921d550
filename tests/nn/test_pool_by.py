"""Pooling to a fraction of the size against the operator that is told the number of cells."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from mxnetseg.nn import pool_by
from tests.gradients import check_gradients


class PoolBy(gluon.HybridBlock):
    def __init__(self, factor):
        super().__init__()
        self._factor = factor

    def hybrid_forward(self, F, x):
        return pool_by(F, x, self._factor)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_equals_the_operator_at_any_size(factor, hybrid):
    block = PoolBy(factor)
    block.hybridize(hybrid)
    for height, width in ((16, 16), (17, 31), (40, 23), (96, 61)):
        x = mx.nd.random.normal(shape=(2, 3, height, width))
        cells = (height // factor, width // factor)
        want = mx.nd.contrib.AdaptiveAvgPooling2D(x, output_size=cells)
        assert want.shape[2:] == cells
        np.testing.assert_allclose(block(x).asnumpy(), want.asnumpy(), atol=1e-5)


def test_gradients():
    x = np.random.RandomState(0).randn(2, 2, 7, 10).astype(np.float32)
    check_gradients(PoolBy(4), [x])
