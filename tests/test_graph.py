"""A symbol's nodes with shapes."""

import re

import mxnet as mx
import pytest
from mxnet.gluon import nn

from mxnetseg import graph, models


class Twice(nn.HybridBlock):
    """One convolution and batch norm that run twice, and operators of several outputs."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(4, 3, padding=1, in_channels=4)
        self.bn = nn.BatchNorm(in_channels=4)

    def hybrid_forward(self, F, x):
        x = self.bn(self.conv(self.bn(self.conv(x))))
        a, b = F.split(F.slice(x, begin=(None, None, 0, 0), end=(None, None, 6, None)), 2, axis=2)
        return F.concat(a, F.cast(F.cast(b, "int32"), "float32"), dim=1)


@pytest.fixture(scope="module")
def twice():
    return Twice()(mx.sym.var("data"))


def _named(network, op):
    return [node for node in network.nodes if node.op == op]


def test_shapes_belong_to_their_nodes(twice):
    network = graph.read(twice, data=(2, 4, 8, 5))
    for op, shapes in (
        (None, None),
        ("Convolution", ((2, 4, 8, 5),)),
        ("BatchNorm", ((2, 4, 8, 5),)),
        ("slice", ((2, 4, 6, 5),)),
        ("SliceChannel", ((2, 4, 3, 5), (2, 4, 3, 5))),
        ("Concat", ((2, 8, 3, 5),)),
    ):
        nodes = _named(network, op)
        assert nodes and all(node.shapes == shapes for node in nodes if shapes)
    assert [node.dtypes for node in _named(network, "Cast")] == [("int32",), ("float32",)]
    assert network.heads == ((len(network.nodes) - 1, 0),)
    shapes = {node.name: node.shapes for node in _named(network, None)}
    assert shapes["data"] == ((2, 4, 8, 5),)
    kernels = [s for name, s in shapes.items() if re.search(r"conv\d+_weight$", name)]
    assert kernels == [((4, 4, 3, 3),)]


def test_layers_that_run_twice_are_two_nodes_with_the_same_parameters(twice):
    network = graph.read(twice)
    first, second = _named(network, "Convolution")
    assert first.name == second.name and first.index < second.index
    assert network.parameters(first) == network.parameters(second)
    assert [p.name.rpartition("_")[2] for p in network.parameters(first)] == ["weight", "bias"]
    norms = _named(network, "BatchNorm")
    assert [network.sources(node)[0] for node in norms] == [first, second]
    assert len(network.parameters(norms[0])) == 4
    internals = twice.get_internals()
    assert [internals[node.first].name for node in norms] == [norms[0].name] * 2


def test_arguments_are_values(twice):
    network = graph.read(twice)
    conv, cut = _named(network, "Convolution")[0], _named(network, "slice")[0]
    assert conv.attrs["kernel"] == (3, 3) and conv.attrs["no_bias"] is False
    assert cut.attrs["end"] == (None, None, 6, None) and cut.shapes == ()
    assert _named(network, "Cast")[0].attrs["dtype"] == "int32"


def test_statistics_that_are_asked_for_are_outputs():
    x, *parameters = (mx.sym.var(name) for name in ("data", "g", "b", "m", "v"))
    y = mx.sym.BatchNorm(x, *parameters, output_mean_var=True, name="bn")
    # a batch norm of the same name, and variables whose names begin with it
    z = mx.sym.broadcast_add(mx.sym.BatchNorm(y[0], *parameters, name="bn"), mx.sym.var("bn_mean2"))
    network = graph.read(mx.sym.Group([z, y[2]]), data=(2, 3, 4, 5), bn_mean2=(1, 3, 1, 1))
    norms = _named(network, "BatchNorm")
    assert norms[0].shapes == ((2, 3, 4, 5), (3,), (3,)) and norms[1].shapes == ((2, 3, 4, 5),)
    assert network.heads == ((network.nodes[-1].index, 0), (norms[0].index, 2))


@pytest.mark.parametrize("name", ["pmsdsen", "fapn", "psanet"])
def test_every_node_of_a_network_reads_what_is_before_it(name):
    options = {} if name == "pmsdsen" else {"backbone": "resnet18"}
    net = models.create(name, 3, initialize=False, **options)
    symbol = net.logits(mx.sym, mx.sym.var("data"))[0]
    height, width = net.valid_size(64, 96)
    network = graph.read(symbol, data=(2, 3, height, width))
    for node in network.nodes:
        assert all(i < node.index and k < len(network.nodes[i].shapes) for i, k in node.inputs)
    assert sum(len(node.shapes) for node in network.nodes) == len(
        symbol.get_internals().list_outputs()
    )
    out, number = network.heads[0]
    expected = symbol.infer_shape(data=(2, 3, height, width))[1][0]
    assert network.nodes[out].shapes[number] == expected
