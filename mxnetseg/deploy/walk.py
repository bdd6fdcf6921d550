"""From a network's symbol to ONNX operators, node by node."""

import mxnet as mx

from .. import graph
from ..nn import whole_operators
from .builder import Value
from .operators import convert

DATA = "data"


def add_network(builder, net, images):
    """Add a network's operators; its main logits at its own resolution.

    Args:
        builder: Builder. net: a SegmentationModel with parameters.
        images: Value (N, C, H, W), float32, normalised; H and W None if they may vary.

    Returns:
        Value (N, num_classes, h, w).

    Raises:
        MXNetSegError: an operator has no conversion.
    """
    with whole_operators():
        symbol = net.logits(mx.sym, mx.sym.var(DATA, dtype="float32"))[0]
    samples = [graph.read(symbol, data=shape) for shape in _samples(net, images.dims)]
    network = samples[0]
    parameters = net._collect_params_with_prefix()
    names = {parameter.name: name for name, parameter in parameters.items()}
    found = []  # for every node, its outputs as Values
    for index, node in enumerate(network.nodes):
        if node.op is not None:
            builder.layer = _layer(network, node, names)
            outputs = convert(builder, node, [found[i][k] for i, k in node.inputs])
        elif node.name == DATA:
            outputs = [images.name]
        else:
            name = names[node.name]
            outputs = [builder.constant(_values(parameters[name]), name)]
        dims = _dims([sample.nodes[index].shapes for sample in samples])
        found.append([Value(*fields) for fields in zip(outputs, dims, node.dtypes)])
    builder.layer = ""
    head, number = network.heads[0]
    return found[head][number]


def _samples(net, dims):
    """Two shapes of images. What has one size with both does not depend on the images.

    They are large, so that no map of one is pooled to as few cells as that of the other.
    """
    sizes = [net.valid_size(2000, 3000), net.valid_size(5000, 7000)]
    return [
        (batch, dims[1], *(n if given is None else given for n, given in zip(size, dims[2:])))
        for batch, size in zip((2, 3), sizes)
    ]


def _dims(samples):
    """For every output its sizes, None where the samples differ."""
    return [
        tuple(n[0] if len(set(n)) == 1 else None for n in zip(*shapes)) for shapes in zip(*samples)
    ]


def _layer(network, node, names):
    """What a node's operators are called after: the layer with its parameters, or nothing."""
    for parameter in network.parameters(node):
        if parameter.name in names:
            return names[parameter.name].rpartition(".")[0]
    return ""


def _values(parameter):
    return parameter.data(parameter.list_ctx()[0]).asnumpy()
