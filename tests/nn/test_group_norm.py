"""Group norm against its formula."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.errors import UsageError
from mxnetseg.nn import BatchNorm, GroupNorm, norm_layer, use_norm
from tests.gradients import check_gradients


@pytest.mark.parametrize(
    "channels, groups",
    [(2048, 32), (256, 32), (128, 32), (64, 16), (48, 12), (40, 10), (19, 1), (3, 1), (1, 1)],
)
def test_number_of_groups(channels, groups):
    assert GroupNorm(channels).groups == groups


@pytest.mark.parametrize("channels", [19, 48])
def test_it_is_the_formula(channels):
    norm = GroupNorm(channels, epsilon=1e-3)
    norm.initialize()
    rng = np.random.RandomState(0)
    x = rng.normal(2, 3, (2, channels, 4, 5))
    gamma, beta = rng.normal(1, 0.5, channels), rng.normal(0, 1, channels)
    norm.gamma.set_data(mx.nd.array(gamma))
    norm.beta.set_data(mx.nd.array(beta))
    groups = x.reshape(2, norm.groups, -1)
    mean, variance = groups.mean(2, keepdims=True), groups.var(2, keepdims=True)
    want = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    want = want * gamma.reshape(1, -1, 1, 1) + beta.reshape(1, -1, 1, 1)
    np.testing.assert_allclose(norm(mx.nd.array(x)).asnumpy(), want, rtol=1e-4, atol=1e-5)


def test_gradients():
    norm = GroupNorm(8)
    norm.initialize(mx.init.Normal(1))
    check_gradients(norm, [np.random.RandomState(0).randn(2, 8, 3, 4).astype(np.float32)])


def test_the_innermost_choice_holds_and_only_within():
    with use_norm("group"):
        with use_norm("batch"):
            assert isinstance(norm_layer(8), BatchNorm)
        assert isinstance(norm_layer(8), GroupNorm)
    assert isinstance(norm_layer(8), BatchNorm)
    with pytest.raises(UsageError, match="'groups'. Did you mean group"), use_norm("groups"):
        pass
