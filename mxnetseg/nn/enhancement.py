"""Large kernels and the semantic enhancement module."""

from mxnet.gluon import nn

from .concat import concat
from .conv import ConvUnit, conv2d, numbered, sequential


class GlobalConv(nn.HybridBlock):
    """A large kernel from two pairs of strips: (k x 1, 1 x k) + (1 x k, k x 1), all biased.

    Peng et al., Large Kernel Matters, CVPR 2017 (GCN).
    """

    def __init__(self, in_channels, channels, kernel):
        super().__init__()
        self.conv_l1 = conv2d(in_channels, channels, (kernel, 1))
        self.conv_l2 = conv2d(channels, channels, (1, kernel))
        self.conv_r1 = conv2d(in_channels, channels, (1, kernel))
        self.conv_r2 = conv2d(channels, channels, (kernel, 1))

    def hybrid_forward(self, F, x):
        return self.conv_l2(self.conv_l1(x)) + self.conv_r2(self.conv_r1(x))


class SemanticEnhancement(nn.HybridBlock):
    """Four dilated branches beside the input, projected: (N, C, H, W) -> (N, channels, H, W).

    Pang et al., Towards Bridging Semantic Gap to Improve Semantic Segmentation, ICCV 2019; with
    plain instead of depthwise convolutions, as in MXNetSeg.

    Args:
        rates: dilation of each branch.
        full: a 3 x 3 global convolution in every branch before the dilated one, so that a large
            rate samples what it skips.
    """

    def __init__(self, in_channels, channels=128, rates=(1, 2, 4, 8), full=False):
        super().__init__()
        self._channels = [in_channels] + [channels] * len(rates)
        branches = (
            sequential(
                ConvUnit(in_channels, channels),
                GlobalConv(channels, channels, 3) if full else None,
                ConvUnit(channels, channels, 3, dilation=rate),
            )
            for rate in rates
        )
        self._branches = numbered(self, "branch", branches)
        self.proj = ConvUnit(in_channels + len(rates) * channels, channels)

    def hybrid_forward(self, F, x):
        maps = [x, *(branch(x) for branch in self._branches)]
        return self.proj(concat(F, maps, self._channels))
