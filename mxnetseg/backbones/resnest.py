"""ResNeSt 14 to 269: ResNets with attention between the splits of a convolution.

Zhang et al., ResNeSt: Split-Attention Networks, arXiv 2004.08955, with the parameter names of
GluonCV; radix 2, cardinality 1. GluonCV's DropBlock (stages 3 and 4 of all but the smallest) is
left out: its masks fit a 224 x 224 input only, so that MXNetSeg could train at no other crop.
"""

from mxnet.gluon import nn

from ..nn import conv2d, global_pool, norm_layer, relu, sequential
from .base import registry
from .resnet import ResNet

RADIX = 2


class SplitAttention(nn.HybridBlock):
    """3 x 3 convolution to two groups of ``channels``, summed with weights from their mean.

    (N, C, H, W) -> (N, C, H, W). In training a batch of one would leave one value per channel to
    the norm of the weights.
    """

    def __init__(self, channels, dilation):
        super().__init__()
        self._channels = channels
        width = max(channels // 2, 32)
        self.conv = conv2d(
            channels, RADIX * channels, 3, dilation=dilation, groups=RADIX, bias=False
        )
        self.bn = norm_layer(RADIX * channels)
        self.fc1 = conv2d(channels, width)
        self.bn1 = norm_layer(width)
        self.fc2 = conv2d(width, RADIX * channels)

    def hybrid_forward(self, F, x):
        splits = relu(F, self.bn(self.conv(x)))
        splits = F.reshape(splits, shape=(0, -4, RADIX, self._channels, 0, 0))
        mean = global_pool(F, F.sum(splits, axis=1))
        weights = self.fc2(relu(F, self.bn1(self.fc1(mean))))
        weights = F.reshape(weights, shape=(0, -4, RADIX, self._channels, 0, 0))
        return F.sum(F.broadcast_mul(F.softmax(weights, axis=1), splits), axis=1)


class SplitBottleneck(nn.HybridBlock):
    """1 x 1, split attention, 1 x 1 to four times the width, around a shortcut.

    The stride is an average pool behind the attention; a first block whose dilation differs from
    its stage's keeps that pool, at stride 1.
    """

    expansion = 4

    def __init__(self, in_channels, width, stride, dilation, stage_dilation):
        super().__init__()
        channels = 4 * width
        self.conv1 = conv2d(in_channels, width, bias=False)
        self.bn1 = norm_layer(width)
        self.conv2 = SplitAttention(width, dilation)
        self.avd_layer = None
        if stride > 1 or dilation != stage_dilation:
            self.avd_layer = nn.AvgPool2D(3, stride, 1)
        self.conv3 = conv2d(width, channels, bias=False)
        self.bn3 = norm_layer(channels)
        self.downsample = None
        if stride > 1 or in_channels != channels:
            self.downsample = sequential(
                nn.AvgPool2D(stride, stride, ceil_mode=True, count_include_pad=False),
                conv2d(in_channels, channels, bias=False),
                norm_layer(channels),
            )

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.conv2(relu(F, self.bn1(self.conv1(x))))
        if self.avd_layer is not None:
            x = self.avd_layer(x)
        return relu(F, self.bn3(self.conv3(x)) + shortcut)


class ResNeSt(ResNet):
    """A ResNet of split-attention blocks."""

    min_batch = 2

    def __init__(self, depths, stem_width, output_stride=32):
        super().__init__(SplitBottleneck, depths, stem_width, output_stride)


def _add(name, depths, stem_width):
    @registry.register(name)
    def factory(output_stride=32):
        return ResNeSt(depths, stem_width, output_stride)


_add("resnest14", (1, 1, 1, 1), stem_width=32)
_add("resnest26", (2, 2, 2, 2), stem_width=32)
_add("resnest50", (3, 4, 6, 3), stem_width=32)
_add("resnest101", (3, 4, 23, 3), stem_width=64)
_add("resnest200", (3, 24, 36, 3), stem_width=64)
_add("resnest269", (3, 30, 48, 8), stem_width=64)
