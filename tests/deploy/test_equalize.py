"""Channels scaled to one range in front of depthwise convolutions: the same, in finer steps."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.deploy import equalize, integers, summands

from ..settled import settled
from .test_integers import error, quantizer_of, written

pytestmark = pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("MKLDNN"), reason="this MXNet has no oneDNN"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(checkpoint with very uneven channels, its Quantizer)."""
    net = settled("swiftnet", 5, "mobilenet_v2_1_0", width=32)
    saved = written(net, tmp_path_factory.mktemp("even") / "net.params")
    quantizer = quantizer_of(saved)
    assert len(quantizer._pairs) == 17  # all blocks of MobileNetV2
    rng = np.random.RandomState(0)
    net = quantizer._net
    values = net.collect_params()
    for pair in quantizer._pairs:
        factor = mx.nd.array(np.exp(rng.uniform(-6, 0, values[pair.scaled[0]].shape)))
        for name in pair.scaled:
            values[name].set_data(values[name].data() * factor)
        values[pair.weight].set_data(values[pair.weight].data() / factor.reshape((-1, 1, 1, 1)))
    saved = written(net, tmp_path_factory.mktemp("uneven") / "net.params")
    return saved, quantizer_of(saved)


def test_the_network_stays_the_same(made):
    _, quantizer = made
    new = equalize.equalized(quantizer._values, quantizer._highs, quantizer._pairs)
    names = {name for pair in quantizer._pairs for name in (*pair.scaled, pair.weight)}
    assert {n for n, v in new.items() if v is not quantizer._values[n]} == names
    for pair in quantizer._pairs:
        high = quantizer._highs[summands.output(pair.name)]
        factor = (new[pair.scaled[1]] / quantizer._values[pair.scaled[1]]).asnumpy()
        used = high > 0
        assert factor.min() >= 1 - 1e-6 and factor.max() <= equalize.MOST * (1 + 1e-6)
        assert (factor * high)[used].max() <= high.max() * (1 + 1e-6)
        wide = used & (factor < 0.99 * equalize.MOST) & (factor > 1 + 1e-6)
        np.testing.assert_allclose((factor * high)[wide], equalize.HEADROOM * high.max(), rtol=1e-5)
        product = new[pair.weight].asnumpy() * factor.reshape(-1, 1, 1, 1)
        np.testing.assert_allclose(product, quantizer._values[pair.weight].asnumpy(), rtol=1e-5)


def test_uneven_channels_lose_less(made):
    saved, quantizer = made
    even = error(quantizer.network().file, saved)
    found, quantizer._pairs = quantizer._pairs, []
    uneven = error(quantizer.network().file, saved)
    quantizer._pairs = found
    assert even < 0.9 * uneven  # what is left is the rest of it


def test_only_what_can_be_scaled(made):
    """Neither with a sum, nor behind another activation, nor read twice, nor with a fixed gamma."""
    _, quantizer = made
    x = mx.sym.var("data")

    def unit(x, name, groups=1, act="relu", fixed=False):
        x = mx.sym.Convolution(
            x, num_filter=8, num_group=groups, kernel=(3, 3), pad=(1, 1), no_bias=True, name=name
        )
        x = mx.sym.BatchNorm(x, fix_gamma=fixed, name=name + "_bn")
        return mx.sym.Activation(x, act_type=act) if act else x

    def found(symbol):
        values = dict.fromkeys(symbol.list_inputs())
        return equalize.pairs(symbol.get_backend_symbol("MKLDNN_QUANTIZE"), values)

    first = unit(x, "a")
    (pair,) = found(unit(first, "b", groups=8))
    assert pair.scaled == ("a_bn_gamma", "a_bn_beta") and pair.weight == "b_weight"
    assert not found(unit(first, "b"))
    assert not found(unit(first, "b", groups=8) + first)
    assert not found(unit(unit(x, "a", act=None), "b", groups=8))
    assert not found(unit(unit(x, "a", act="sigmoid"), "b", groups=8))
    assert not found(unit(unit(x, "a", fixed=True), "b", groups=8))


def test_a_convolution_that_names_no_groups():
    data = mx.sym.var("data")
    convolution = mx.sym.Convolution(data, kernel=(3, 3), num_filter=4, name="plain")
    joined = mx.sym.relu(convolution).get_backend_symbol(integers.BACKEND)
    assert equalize.pairs(joined, {}) == []
