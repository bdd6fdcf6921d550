"""GFFNet: the order of the fusion, and its gradients."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.models.gffnet import GFFNetHead
from mxnetseg.nn import resize_like
from tests.gradients import loss_and_gradients

CHANNELS = (4, 6, 8, 12)


def _maps(strides):
    rng = np.random.RandomState(0)
    return [
        rng.randn(2, c, -(-72 // s), -(-56 // s)).astype("f4") for c, s in zip(CHANNELS, strides)
    ]


def _head(strides):
    mx.random.seed(0)
    head = GFFNetHead(CHANNELS, strides, 3)
    head.initialize(mx.init.Xavier())
    head.dfp.head.drop._rate = 0
    return head


def _by_the_card(head, stages):
    """Step by step as the card writes it, with a resize at every arrow."""

    def to(source, target):
        return resize_like(mx.nd, source, target)

    g = [getattr(head, f"gate_{k}")(c) for k, c in enumerate(stages, 1)]
    x = [getattr(head, f"conv1x1_{k}")(c) for k, c in enumerate(stages, 1)]
    for k in range(4):
        others = sum(to(g[j] * x[j], x[k]) for j in range(4) if j != k)
        x[k] = x[k] + g[k] * x[k] + (1 - g[k]) * others
    p = to(head.ppm(stages[3]), x[0])
    return head.dfp(p, *(to(getattr(head, f"fusion_{k}")(m), x[0]) for k, m in enumerate(x, 1)))


@pytest.mark.parametrize("strides", [(4, 8, 8, 8), (4, 8, 16, 32)])
def test_levels_are_fused_one_after_the_other(strides):
    head, stages = _head(strides), [mx.nd.array(m) for m in _maps(strides)]
    want = _by_the_card(head, stages).asnumpy()
    np.testing.assert_allclose(head(*stages).asnumpy(), want, rtol=1e-4, atol=1e-5)


def test_hybridised_gradients_equal_eager_ones():
    head, maps = _head((4, 8, 8, 8)), _maps((4, 8, 8, 8))
    _, eager = loss_and_gradients(head, maps, hybrid=False)
    _, hybrid = loss_and_gradients(head, maps, hybrid=True)
    for name, gradient in eager.items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(hybrid[name], gradient, atol=1e-3 * scale, err_msg=name)
