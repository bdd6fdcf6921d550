"""AttaNet: strip attention and fusion, values and gradients."""

import mxnet as mx
import numpy as np

from mxnetseg.models.attanet import AttentionFusion, StripAttention
from tests.gradients import check_gradients


def test_strips_are_columns():
    block = StripAttention(4)
    block.initialize(mx.init.Xavier())
    x = mx.nd.random.normal(shape=(2, 4, 3, 5))
    query = block.query_conv(x).asnumpy().reshape(2, 2, 15)
    key = block.key_conv(x).asnumpy().mean(axis=2)
    value = block.value_conv(x).asnumpy().mean(axis=2)
    weights = np.exp(query.transpose(0, 2, 1) @ key)
    weights /= weights.sum(axis=2, keepdims=True)
    want = (value @ weights.transpose(0, 2, 1)).reshape(2, 4, 3, 5) + x.asnumpy()
    np.testing.assert_allclose(block(x).asnumpy(), want, atol=1e-5)


def test_strip_attention_gradients():
    mx.random.seed(1)
    block = StripAttention(4)
    block.initialize(mx.init.Xavier())
    check_gradients(block, [np.random.RandomState(0).randn(2, 4, 3, 5).astype("f4")], step=2e-3)


def test_fusion_gradients():
    mx.random.seed(2)
    block = AttentionFusion(3, 4)
    block.initialize(mx.init.Xavier())
    rng = np.random.RandomState(0)
    low, high = rng.randn(4, 3, 4, 6).astype("f4"), rng.randn(4, 4, 2, 3).astype("f4")
    check_gradients(block, [low, high], step=1e-3)
