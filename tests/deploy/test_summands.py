"""Sums joined to convolutions, in MXNet's integers: moved to where they have no sign, or apart."""

import json

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.deploy import integers, summands
from mxnetseg.deploy.integers import BACKEND

from ..settled import settled
from .test_integers import error, quantizer_of, written

pytestmark = pytest.mark.skipif(
    not mx.runtime.Features().is_enabled("MKLDNN"), reason="this MXNet has no oneDNN"
)

SHAPE = (2, 16, 12, 14)


def convolution(x, name, norm=True):
    x = mx.sym.Convolution(
        x, num_filter=16, kernel=(3, 3), pad=(1, 1), no_bias=norm, name=name + "_conv"
    )
    return mx.sym.BatchNorm(x, fix_gamma=False, name=name + "_bn") if norm else x


def relu(x):
    return mx.sym.Activation(x, act_type="relu")


@pytest.fixture(scope="module", params=(True, False), ids=("norm", "bias"))
def graph(request):
    """(symbol, joined symbol, parameters): a block with a shortcut, one that ends with a sign."""
    norm = request.param
    x = relu(convolution(mx.sym.var("data"), "stem"))
    x = relu(convolution(x, "main", norm) + convolution(x, "short", norm))
    x = convolution(x, "last") + x
    symbol = convolution(x, "head", norm=False)
    rng = np.random.RandomState(0)
    shapes, _, states = symbol.infer_shape(data=SHAPE)
    found = dict(zip(symbol.list_arguments(), shapes))
    found.update(zip(symbol.list_auxiliary_states(), states))
    values = {n: mx.nd.array(rng.normal(0, 0.3, s)) for n, s in found.items() if n != "data"}
    values.update((n, mx.nd.abs(v) + 0.5) for n, v in values.items() if n.endswith("_var"))
    return symbol, symbol.get_backend_symbol(BACKEND), values


def run(symbol, values):
    given = {**values, "data": mx.nd.array(np.random.RandomState(1).normal(0, 1, SHAPE))}
    arguments = {n: given[n] for n in symbol.list_arguments()}
    states = {n: given[n] for n in symbol.list_auxiliary_states()}
    with integers._joined_already():
        bound = symbol.bind(mx.cpu(), arguments, aux_states=states, grad_req="null")
    return bound.forward(is_train=False)[0].asnumpy()


def nodes(symbol):
    return {node["name"]: node for node in json.loads(symbol.tojson())["nodes"]}


def test_a_shortcut_loses_its_sign_and_nothing_changes(graph):
    symbol, joined, values = graph
    (found,) = summands.shortcuts(joined, values)
    low, high = -30.0, 30.0  # wide: nothing is cut off
    name = summands.output(found.name)
    moved, shifted, ranges = summands.without_sign(joined, values, {name: (low, high)}, [found])
    assert ranges[name] == (0, high - low)
    assert nodes(moved)[found.name]["attrs"]["with_act"] == "true"
    wanted = run(symbol, values)
    # Float32 adds and takes 30 away: 30 * 2**-24, through two convolutions
    np.testing.assert_allclose(run(moved, shifted), wanted, rtol=1e-4, atol=1e-4 * wanted.std())
    low = 1.0
    moved, shifted, _ = summands.without_sign(joined, values, {name: (low, high)}, [found])
    assert shifted == values and not summands._acts(nodes(moved)[found.name])


def test_a_sum_with_a_sign_stands_apart(graph):
    symbol, joined, values = graph
    alone = summands.apart(joined)
    (name,) = {n for n, node in nodes(alone).items() if node["op"] == "elemwise_add"}
    assert nodes(joined)[name]["op"] == summands.CONVOLUTION and name + "_alone" in nodes(alone)
    wanted = run(symbol, values)
    np.testing.assert_allclose(run(alone, values), wanted, rtol=1e-5, atol=1e-5 * wanted.std())


def test_misread_summands_are_found(graph):
    _, joined, values = graph
    (found,) = summands.shortcuts(joined, values)
    sums = [n for n, node in nodes(joined).items() if summands._has_sum(node)]
    with_relu, with_sign = sums
    positive = {summands.output(n): (0.0, 1.0) for n in (found.name, with_relu)}
    wide = {**positive, summands.output(found.name): (-1.0, 1.0)}
    assert summands.mismatched(joined, wide, set(), False) == sums
    assert summands.mismatched(joined, wide, set(), True) == [with_relu]
    assert summands.mismatched(joined, positive, set(), False) == [with_sign]
    assert summands.mismatched(joined, positive, {with_sign}, False) == []


def test_residual_networks_are_right(tmp_path, monkeypatch):
    """Without this module the first block of each stage of a ResNet is wrong, and MXNet silent."""
    saved = written(settled("fcn", 5, "resnet18"), tmp_path / "net.params")
    quantizer = quantizer_of(saved)
    assert len(quantizer._shortcuts) == 3
    right = error(quantizer.network().file, saved)
    quantizer._shortcuts = []
    floating = error(quantizer.network().file, saved)
    monkeypatch.setattr(summands, "mismatched", lambda *_: [])
    wrong = error(quantizer.network().file, saved)
    assert max(right, floating) < 0.6 * wrong
