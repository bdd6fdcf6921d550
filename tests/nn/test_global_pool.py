"""The mean over height and width: values, gradients, any size in one hybridised graph."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg.nn import GlobalPool


@pytest.mark.parametrize("hybridise", [False, True])
def test_mean_and_its_gradient(hybridise):
    net = GlobalPool()
    if hybridise:
        net.hybridize()
    for size in ((5, 7), (1, 1), (1, 4)):
        x = np.random.RandomState(0).normal(3, 1, (2, 3, *size)).astype(np.float32)
        image = mx.nd.array(x)
        image.attach_grad()
        with autograd.record():
            y = net(image)
        y.backward(mx.nd.array(np.arange(6, dtype=np.float32).reshape(2, 3, 1, 1)))
        np.testing.assert_allclose(y.asnumpy(), x.mean((2, 3), keepdims=True), rtol=1e-6)
        want = np.arange(6).reshape(2, 3, 1, 1) / (size[0] * size[1]) * np.ones_like(x)
        np.testing.assert_allclose(image.grad.asnumpy(), want, rtol=1e-6)


def test_large_maps_are_exact():
    """Gates far behind a gate make much of a small error."""
    x = np.random.RandomState(0).uniform(size=(1, 2, 256, 512)).astype(np.float32)
    y = GlobalPool()(mx.nd.array(x)).asnumpy()
    np.testing.assert_allclose(y, x.astype(np.float64).mean((2, 3), keepdims=True), rtol=2e-6)
