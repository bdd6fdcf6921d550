import mxnet as mx
import numpy as np
import pytest

from mxnetseg.nn import SelfAttention
from tests.gradients import check_gradients


@pytest.fixture
def attention():
    mx.random.seed(0)
    block = SelfAttention(16)
    block.initialize(mx.init.Normal(0.2))
    return block


def _input(height=3, width=5):
    return np.random.RandomState(0).standard_normal((2, 16, height, width)).astype(np.float32)


def test_is_the_identity_until_gamma_moves(attention):
    x = _input()
    np.testing.assert_array_equal(attention(mx.nd.array(x)).asnumpy(), x)


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("size", [(3, 5), (1, 4)])
def test_averages_the_values_with_unscaled_softmax_weights_over_the_keys(attention, size, hybrid):
    attention.gamma.set_data(mx.nd.array([0.7]))
    attention.hybridize(hybrid)
    x = _input(*size)

    def project(conv):
        weight, bias = conv.weight.data().asnumpy()[:, :, 0, 0], conv.bias.data().asnumpy()
        return np.einsum("oc,ncp->nop", weight, x.reshape(2, 16, -1)) + bias[:, None]

    query, key, value = map(
        project, (attention.query_conv, attention.key_conv, attention.value_conv)
    )
    assert query.shape[1] == key.shape[1] == 2 and value.shape[1] == 16
    energy = np.exp(np.einsum("ndi,ndj->nij", query, key))
    weights = energy / energy.sum(axis=2, keepdims=True)
    want = 0.7 * np.einsum("nij,ncj->nci", weights, value).reshape(x.shape) + x
    np.testing.assert_allclose(attention(mx.nd.array(x)).asnumpy(), want, rtol=1e-4, atol=1e-5)


def test_gradients(attention):
    attention.gamma.set_data(mx.nd.array([0.7]))
    check_gradients(attention, [_input()])
