"""Gates: factors in (0, 1) for the channels of a map."""

import math

from mxnet.gluon import nn

from .pyramid import global_pool


class EfficientChannelAttention(nn.HybridBlock):
    """x times a gate per channel, made of the means of a few neighbouring channels.

    Wang et al., ECA-Net, CVPR 2020: one convolution along the channel axis, whose kernel grows
    with the logarithm of the number of channels (3 for 32 and 64, 5 for 128).
    """

    def __init__(self, channels):
        super().__init__()
        kernel = int((math.log2(channels) + 1) / 2)
        kernel += 1 - kernel % 2
        self.conv = nn.Conv1D(1, kernel, padding=kernel // 2, use_bias=False, in_channels=1)

    def hybrid_forward(self, F, x):
        means = F.reshape(global_pool(F, x), shape=(0, 1, -1))
        gate = F.reshape(F.sigmoid(self.conv(means)), shape=(0, -1, 1, 1))
        return F.broadcast_mul(x, gate)
