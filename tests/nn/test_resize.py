"""The matrix form of bilinear resizing against MXNet's operator."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from mxnetseg.nn import resize_like, upscale


class Resize(gluon.HybridBlock):
    def __init__(self, align_corners):
        super().__init__()
        self._align_corners = align_corners

    def hybrid_forward(self, F, x, like):
        return resize_like(F, x, like, self._align_corners)


SIZES = [((5, 7), (17, 31)), ((9, 8), (3, 5)), ((1, 1), (6, 4)), ((4, 6), (1, 1)), ((5, 5), (5, 5))]


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("source, target", SIZES)
def test_equals_the_operator_with_corners_aligned(source, target, hybrid):
    x = mx.nd.random.normal(shape=(2, 3, *source))
    like = mx.nd.zeros((1, 5, *target))
    resize = Resize(True)
    resize.hybridize(hybrid)
    want = mx.nd.contrib.BilinearResize2D(x, height=target[0], width=target[1])
    np.testing.assert_allclose(resize(x, like).asnumpy(), want.asnumpy(), atol=2e-6)


@pytest.mark.parametrize("source, target", [((5, 7), (17, 31)), ((1, 4), (6, 8)), ((4, 4), (8, 8))])
def test_equals_opencv_with_half_pixels(source, target):
    import cv2

    x = np.random.RandomState(0).randn(1, 1, *source).astype(np.float32)
    got = Resize(False)(mx.nd.array(x), mx.nd.zeros((1, 1, *target))).asnumpy()[0, 0]
    want = cv2.resize(x[0, 0], target[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("hybrid", [False, True])
def test_gradient_is_the_transpose_and_none_flows_into_like(hybrid):
    x = mx.nd.random.normal(shape=(1, 2, 4, 5))
    like = mx.nd.random.normal(shape=(1, 1, 9, 7))
    weight = mx.nd.random.normal(shape=(1, 2, 9, 7))
    x.attach_grad()
    like.attach_grad()
    resize = Resize(True)
    resize.hybridize(hybrid)
    with autograd.record():
        loss = (resize(x, like) * weight).sum()
    loss.backward()
    basis = mx.nd.eye(20).reshape((20, 1, 4, 5))
    rows = Resize(True)(basis, like).reshape((20, -1))
    want = mx.nd.dot(weight.reshape((2, -1)), rows.T).reshape((1, 2, 4, 5))
    np.testing.assert_allclose(x.grad.asnumpy(), want.asnumpy(), atol=1e-5)
    assert not like.grad.asnumpy().any()


def test_any_size_through_one_graph():
    resize = Resize(True)
    resize.hybridize()
    for source, target in SIZES:
        x = mx.nd.random.normal(shape=(1, 2, *source))
        assert resize(x, mx.nd.zeros((1, 1, *target))).shape == (1, 2, *target)


def test_upscale():
    x = mx.nd.random.normal(shape=(2, 3, 4, 5))
    want = mx.nd.contrib.BilinearResize2D(x, height=8, width=10)
    np.testing.assert_allclose(upscale(mx.nd, x, 2).asnumpy(), want.asnumpy(), atol=2e-6)
