"""Other images than RGB: the convolutions that see the image take more or fewer channels."""

import mxnet as mx

from .. import graph
from ..errors import UsageError


def image_weights(net):
    """The parameters of the convolutions whose input holds pixels of the image.

    They are found in the network's graph, so that no network has to say where they are: some look
    at the image more than once, or at the image beside feature maps.
    """
    network = graph.read(mx.sym.Group(list(net(mx.sym.var("image")))))
    parameters = net.collect_params()
    found, pixels = {}, []  # pixels: whether a node's output holds pixels
    for node in network.nodes:
        mixes = node.op in ("Convolution", "FullyConnected")
        if mixes and pixels[node.inputs[0].node]:
            name = network.parameters(node)[0].name
            found[name] = parameters[name]
        passes = not mixes and any(pixels[source.node] for source in node.inputs)
        pixels.append(node.name == "image" or passes)
    return list(found.values())


def set_image_channels(net, channels):
    """Make a network that has no weights yet take images (N, channels, H, W) instead of RGB."""
    if not isinstance(channels, int) or channels < 1:
        raise UsageError(f"in_channels must be a positive whole number, not {channels!r}.")
    for parameter in image_weights(net):
        shape = parameter.shape
        # Gluon lets a shape grow only where it is not known yet.
        parameter._shape = (shape[0], shape[1] + channels - 3, *shape[2:])
        parameter._var = None  # the variable of the graph above remembers the old shape
    net.in_channels = channels
