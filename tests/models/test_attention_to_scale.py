"""AttentionToScale: the second scale, and norms that see two batches a step."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import models
from mxnetseg.models.attention_to_scale import ScaleAttention, half_size
from tests.gradients import check_gradients


def test_the_second_scale_is_half_the_size_rounded_down():
    x = mx.nd.random.normal(shape=(2, 3, 13, 22))
    want = mx.nd.contrib.BilinearResize2D(x, height=6, width=11).asnumpy()
    np.testing.assert_allclose(half_size(mx.nd, x).asnumpy(), want, atol=2e-5)


@pytest.mark.parametrize("hybrid", [False, True])
def test_running_statistics_see_the_half_image_then_the_image(hybrid):
    """MXNet updates them in the backward pass, so the last use comes first, as in the original."""
    mx.random.seed(0)
    net = models.create("attention_to_scale", 3, backbone="resnet18")
    net.hybridize(hybrid)
    x = mx.nd.random.normal(loc=1, shape=(2, 3, 33, 47))
    half = half_size(mx.nd, x)
    with autograd.record():
        loss = sum(y.mean() for y in net(x))
    loss.backward()
    want = 0
    for images in (half, x):
        mean = net.backbone.conv1(images).mean(axis=(0, 2, 3)).asnumpy()
        want = 0.9 * want + 0.1 * mean
    np.testing.assert_allclose(net.backbone.bn1.running_mean.data().asnumpy(), want, atol=1e-5)


def test_gradients():
    head = ScaleAttention(3, 2)
    head.initialize(mx.init.Normal(0.1))
    head.seg_head.drop._rate = 0
    rng = np.random.RandomState(0)
    full, half = rng.randn(2, 3, 4, 6), rng.randn(2, 3, 2, 3)
    check_gradients(head, [full.astype(np.float32), half.astype(np.float32)], step=2e-3)
