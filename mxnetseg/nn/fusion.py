"""Decoder steps that join a coarse and a fine map."""

from mxnet.gluon import nn

from .conv import ConvUnit
from .resize import resize_like


class LateralFusion(nn.HybridBlock):
    """3 x 3 unit over (coarse map, enlarged) + (1 x 1 unit over the fine map).

    Args:
        low_channels: channels of the fine map. channels: of the coarse map and of the result.
    """

    def __init__(self, low_channels, channels):
        super().__init__()
        self.conv1x1 = ConvUnit(low_channels, channels)
        self.conv3x3 = ConvUnit(channels, channels, 3)

    def hybrid_forward(self, F, high, low):
        return self.conv3x3(resize_like(F, high, low) + self.conv1x1(low))
