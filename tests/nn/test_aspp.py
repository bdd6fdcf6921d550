import mxnet as mx
import numpy as np

from mxnetseg.nn import ASPP


def test_names_widths_and_sizes():
    block = ASPP(12, 8, rates=(2, 4))
    shapes = {n: p.shape for n, p in block._collect_params_with_prefix().items()}
    assert shapes["branches.0.conv.weight"] == (8, 12, 1, 1)
    assert shapes["branches.2.conv.weight"] == (8, 12, 3, 3)
    assert shapes["branches.3.conv1x1.conv.weight"] == (8, 12, 1, 1)
    assert shapes["projection.conv.weight"] == (8, 4 * 8, 1, 1)
    block.initialize()
    assert block(mx.nd.zeros((2, 12, 7, 9))).shape == (2, 8, 7, 9)


def test_a_rate_is_the_reach_of_its_branch():
    mx.random.seed(0)
    block = ASPP(1, 4, rates=(2, 5))
    block.initialize(mx.init.Normal())
    x = np.zeros((1, 1, 1, 21), np.float32)
    x[..., 10] = 1
    for i, rate in ((1, 2), (2, 5)):
        y = block.branches[i].conv(mx.nd.array(x)).asnumpy().any(axis=1)[0, 0]
        assert list(np.flatnonzero(y)) == [10 - rate, 10, 10 + rate]
