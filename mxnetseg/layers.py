"""A network's layers under the names that its parameters have, and the operators of each.

Gluon calls what a block computes after the block's prefix (``conv3_fwd``); users know the block by
its path (``backbone.layer1.0.conv1``), as the parameters of a checkpoint are called.
"""

from typing import Any, Dict, NamedTuple, Tuple

import mxnet as mx

from . import graph
from .nn.form import whole_operators


class Traced(NamedTuple):
    """A network's graph for inputs of one shape.

    Attributes:
        graph: of the outputs at the network's own resolution.
        blocks: see :func:`blocks`.
        owners: the path of the layer that computes a node, one for each; "" is the network itself.
            A parameter belongs to the layer that holds it, the images to none.
    """

    graph: graph.Graph
    blocks: Dict[str, Any]
    owners: Tuple[str, ...]


def blocks(net):
    """{path: block} of a network and everything in it, from the outside in; the network is ""."""
    found = {}

    def visit(block, path):
        found[path] = block
        for name, child in block._children.items():
            visit(child, f"{path}.{name}" if path else name)

    visit(net, "")
    return found


def trace(net, height, width, batch=1, outputs=1):
    """Trace a network for inference; its flags and hybridised graph are not touched.

    Layers that are composed from several operators, as resizing, are one operator of the graph.

    Args:
        net: a SegmentationModel; its parameters need no values.
        height, width: of the images; what the network permits.
        outputs: how many of its outputs, the main one first; None for all.

    Raises:
        UsageError: the network does not take such images.
    """
    net.check_size(height, width)
    with net.name_scope(), whole_operators():
        heads = list(net.logits(mx.sym, mx.sym.var("data")))[:outputs]
    shape = (batch, net.in_channels, height, width)
    traced = graph.read(mx.sym.Group(heads), data=shape)
    inside = blocks(net)
    prefixes = {block.prefix: path for path, block in inside.items()}
    held = {
        parameter.name: name.rpartition(".")[0]
        for name, parameter in net._collect_params_with_prefix().items()
    }
    owners = (
        held.get(n.name, "") if n.op is None else _owner(n.name, prefixes) for n in traced.nodes
    )
    return Traced(traced, inside, tuple(owners))


def _owner(name, prefixes):
    """The path of the block with the longest prefix that begins ``name``."""
    for end in range(len(name), 0, -1):
        if name[:end] in prefixes:
            return prefixes[name[:end]]
    return ""
