import mxnet as mx
import numpy as np
import pytest

from mxnetseg import models
from mxnetseg.models.danet import ChannelAttention
from tests.gradients import check_gradients


@pytest.fixture
def attention():
    block = ChannelAttention()
    block.initialize()
    block.gamma.set_data(mx.nd.array([0.6]))
    return block


def _input():
    return 0.5 * np.random.RandomState(0).standard_normal((2, 6, 3, 4)).astype(np.float32)


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_least_similar_channels_weigh_most(attention, hybrid):
    attention.hybridize(hybrid)
    x = _input()
    flat = x.reshape(2, 6, -1)
    energy = np.einsum("nip,njp->nij", flat, flat)
    energy = np.exp(energy.max(axis=2, keepdims=True) - energy)
    weights = energy / energy.sum(axis=2, keepdims=True)
    assert (weights.argmax(axis=2) != np.arange(6)).all()
    want = 0.6 * np.einsum("nij,njp->nip", weights, flat).reshape(x.shape) + x
    np.testing.assert_allclose(attention(mx.nd.array(x)).asnumpy(), want, rtol=1e-4, atol=1e-5)


def test_gradients(attention):
    check_gradients(attention, [_input()])


def test_auxiliaries_are_off_unless_asked_for():
    assert models.create("danet", 3, "resnet18").output_names == ("main",)
    net = models.create("danet", 3, "resnet18", aux=True)
    assert net.output_names == ("main", "aux1", "aux2") and net.aux_weights == (1.0, 1.0)
