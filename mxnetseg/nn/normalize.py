"""From images as they are stored to what networks take."""

import mxnet as mx
from mxnet.gluon import nn


class Normalize(nn.HybridBlock):
    """(N, H, W, C) uint8 -> (N, C, H, W) float32: (image / 255 - mean) / std.

    On the device: a byte per value crosses the bus, not four.

    Args:
        mean, std: per channel, for images in 0 ... 1.
    """

    def __init__(self, mean, std):
        super().__init__()
        scale = [1 / (255 * s) for s in std]
        shift = [-m / s for m, s in zip(mean, std)]
        self.scale = self.params.get_constant("scale", mx.nd.array(scale).reshape((1, -1, 1, 1)))
        self.shift = self.params.get_constant("shift", mx.nd.array(shift).reshape((1, -1, 1, 1)))

    def hybrid_forward(self, F, image, scale, shift):
        x = F.cast(F.transpose(image, axes=(0, 3, 1, 2)), "float32")
        return F.broadcast_add(F.broadcast_mul(x, scale), shift)
