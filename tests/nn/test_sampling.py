"""Sampling at learned positions against MXNet's operators, and its gradients."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon

from mxnetseg.nn import ModulatedDeformableConv, warp
from tests.gradients import check_gradients


class Warp(gluon.HybridBlock):
    def hybrid_forward(self, F, x, offset):
        return warp(F, x, offset)


def _offsets(shape, reach, seed=0):
    """Random offsets, at least 0.1 from whole pixels: there the gradient jumps."""
    rng = np.random.RandomState(seed)
    whole = rng.randint(-reach, reach, shape)
    return (whole + rng.uniform(0.1, 0.9, shape)).astype(np.float32)


@pytest.mark.parametrize("hybrid", [False, True])
def test_warp_equals_the_operators(hybrid):
    x = mx.nd.random.normal(shape=(2, 3, 6, 9))
    offset = mx.nd.array(_offsets((2, 2, 6, 9), 5))
    block = Warp()
    block.hybridize(hybrid)
    grid = mx.nd.GridGenerator(offset, transform_type="warp")
    want = mx.nd.BilinearSampler(x, grid).asnumpy()
    np.testing.assert_allclose(block(x, offset).asnumpy(), want, atol=1e-5)


def test_warp_by_whole_pixels_moves_the_map():
    x = mx.nd.arange(12).reshape((1, 1, 3, 4)) + 1
    right = mx.nd.concat(mx.nd.ones((1, 1, 3, 4)), mx.nd.zeros((1, 1, 3, 4)), dim=1)
    want = [[2, 3, 4, 0], [6, 7, 8, 0], [10, 11, 12, 0]]
    np.testing.assert_allclose(warp(mx.nd, x, right).asnumpy()[0, 0], want, atol=1e-5)


def test_warp_of_a_single_row_fades_to_zero():
    x = mx.nd.array([[[[2, 4, 6]]]])
    down = mx.nd.concat(mx.nd.zeros((1, 1, 1, 3)), mx.nd.full((1, 1, 1, 3), 0.25), dim=1)
    np.testing.assert_allclose(warp(mx.nd, x, down).asnumpy()[0, 0], [[1.5, 3, 4.5]], atol=1e-5)


def test_warp_gradients():
    x = np.random.RandomState(1).randn(2, 3, 4, 5).astype(np.float32)
    check_gradients(Warp(), [x, _offsets((2, 2, 4, 5), 2)])


def _deformable(in_channels, channels, groups):
    block = ModulatedDeformableConv(in_channels, channels, groups)
    block.initialize()
    return block


def _randomise(block, scale=0.2):
    rng = np.random.RandomState(2)
    for p in block.collect_params().values():
        p.set_data(mx.nd.array(scale * rng.standard_normal(p.shape)))


def test_deformable_convolution_starts_as_an_ordinary_one():
    block = _deformable(4, 6, 2)
    x = mx.nd.random.normal(shape=(2, 4, 5, 7))
    weight, bias = block.deformable_conv_weight.data(), block.deformable_conv_bias.data()
    want = mx.nd.Convolution(x, weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=6)
    np.testing.assert_allclose(block(x).asnumpy(), want.asnumpy(), atol=1e-5)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_deformable_convolution_equals_the_operator(groups, hybrid):
    block = _deformable(8, 12, groups)
    _randomise(block)
    block.hybridize(hybrid)
    for size in ((6, 9), (5, 4)):  # another size through the same graph
        x = mx.nd.random.normal(shape=(2, 8, *size))
        offsets = mx.nd.Convolution(
            x,
            block.offset_weight.data(),
            block.offset_bias.data(),
            kernel=(3, 3),
            pad=(1, 1),
            num_filter=27 * groups,
        )
        want = mx.nd.contrib.ModulatedDeformableConvolution(
            x,
            offsets[:, : 18 * groups],
            2 * mx.nd.sigmoid(offsets[:, 18 * groups :]),
            block.deformable_conv_weight.data(),
            block.deformable_conv_bias.data(),
            kernel=(3, 3),
            pad=(1, 1),
            num_filter=12,
            num_deformable_group=groups,
        )
        np.testing.assert_allclose(block(x).asnumpy(), want.asnumpy(), atol=1e-4)


def test_deformable_convolution_gradients():
    """The offsets come from the bias alone, 0.3 off whole pixels: no step crosses a kink."""
    block = _deformable(4, 3, 2)
    _randomise(block)
    rng = np.random.RandomState(3)
    whole = rng.randint(-2, 2, 36) + 0.3
    block.offset_bias.set_data(mx.nd.array(np.concatenate([whole, rng.randn(18)])))
    block.offset_weight.set_data(block.offset_weight.data() * 0.02)
    x = rng.randn(2, 4, 4, 5).astype(np.float32)
    check_gradients(block, [x])
