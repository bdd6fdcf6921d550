"""Gradients of layers that are more than one operator, and of operators that MXNet gets wrong."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn as gluon_nn

from mxnetseg.nn import (
    APPPM,
    DAPPM,
    PAPPM,
    Activation,
    BasicBlock,
    Bottleneck,
    EfficientChannelAttention,
    average_pool,
    concat_equal,
    conv2d,
)
from tests.gradients import check_gradients


def _images(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


def _initialised(block):
    mx.random.seed(0)
    block.initialize(mx.init.Xavier())
    return block


@pytest.mark.parametrize(
    "block, shape",
    [
        (lambda: EfficientChannelAttention(32), (2, 32, 5, 6)),
        (lambda: BasicBlock(6, 8, stride=2), (4, 6, 9, 8)),
        (lambda: Bottleneck(6, 4, stride=2), (4, 6, 9, 8)),
    ],
)
def test_blocks(block, shape):
    check_gradients(_initialised(block()), [_images(*shape)], step=1e-3)


@pytest.mark.parametrize("pyramid", [DAPPM, PAPPM, APPPM])
def test_pyramids(pyramid):
    # ReLUs that change sides: a wide tolerance
    x = _images(4, 8, 19, 26)
    check_gradients(_initialised(pyramid(8, 4, 4)), [x], step=1e-3, tolerance=5e-2)


@pytest.mark.parametrize("kernel, stride", [((1, 5), (1, 2)), ((9, 1), (4, 1)), (17, 8)])
def test_average_pool_counts_the_border_and_rounds_down(kernel, stride):
    x = _images(2, 3, 9, 14)
    rows, columns = [
        np.pad(np.eye(n), ((k // 2, k // 2), (0, 0)))
        for n, k in zip(x.shape[2:], np.broadcast_to(kernel, 2))
    ]
    (kh, kw), (sh, sw) = np.broadcast_to(kernel, 2), np.broadcast_to(stride, 2)
    rows = np.stack([rows[i : i + kh].mean(0) for i in range(0, len(rows) - kh + 1, sh)])
    columns = np.stack([columns[i : i + kw].mean(0) for i in range(0, len(columns) - kw + 1, sw)])
    got = average_pool(kernel, stride)(mx.nd.array(x)).asnumpy()
    np.testing.assert_allclose(got, rows @ x @ columns.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["selu", "gelu", "hard_swish", "hard_sigmoid", "relu6", "leaky"])
def test_activations(name):
    x = np.linspace(-4, 7, 23).astype(np.float32).reshape(1, 1, 1, -1) + 0.02
    check_gradients(Activation(name), [x], step=1e-2)


def test_selu_is_klambauers():
    x = np.linspace(-4, 4, 17)
    want = 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))
    np.testing.assert_allclose(Activation("selu")(mx.nd.array(x)).asnumpy(), want, rtol=1e-5)


class _Joined(gluon_nn.HybridBlock):
    def __init__(self):
        super().__init__()
        self.conv = conv2d(16, 16)

    def hybrid_forward(self, F, *maps):
        return self.conv(concat_equal(F, *maps))


@pytest.mark.parametrize("hybridise", [False, True])
def test_joining_few_channels_in_front_of_a_convolution(hybridise):
    """With MXNet's concat the backward pass ends the process (see nn/concat.py)."""
    net = _initialised(_Joined())
    if hybridise:
        net.hybridize()
    maps = [mx.nd.array(_images(2, 4, 6, 5, seed=i)) for i in range(4)]
    np.testing.assert_array_equal(
        concat_equal(mx.nd, *maps).asnumpy(), mx.nd.concat(*maps, dim=1).asnumpy()
    )
    for m in maps:
        m.attach_grad()
    with autograd.record():
        net(*maps).backward()
    weight = net.conv.weight.data().asnumpy().sum(axis=(0, 2, 3))
    for i, m in enumerate(maps):
        want = np.broadcast_to(weight[4 * i : 4 * i + 4].reshape(1, 4, 1, 1), m.shape)
        np.testing.assert_allclose(m.grad.asnumpy(), want, rtol=1e-5, atol=1e-6)
