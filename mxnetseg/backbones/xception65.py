"""Xception-65, the "aligned" variant of DeepLabv3+, with the parameter names of GluonCV.

Chollet, Xception: Deep Learning with Depthwise Separable Convolutions, CVPR 2017; Chen et al.,
Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018.
"""

from mxnet.gluon import nn

from ..nn import conv2d, norm_layer, relu, sequential
from .base import Backbone, registry, stage_plan, stage_strides


class SeparableUnit(nn.HybridBlock):
    """Depthwise 3 x 3, norm (no ReLU), pointwise 1 x 1."""

    def __init__(self, in_channels, channels, stride=1, dilation=1):
        super().__init__()
        self.conv1 = conv2d(
            in_channels, in_channels, 3, stride, dilation=dilation, groups=in_channels, bias=False
        )
        self.bn = norm_layer(in_channels)
        self.pointwise = conv2d(in_channels, channels, bias=False)

    def hybrid_forward(self, F, x):
        return self.pointwise(self.bn(self.conv1(x)))


class XceptionBlock(nn.HybridBlock):
    """Separable units, each with a norm behind and a ReLU before it, around a shortcut.

    Args:
        widths: output channels of the units. stride: of the last one, which then is not dilated.
        relu_first: whether the first unit has its ReLU.
    """

    def __init__(self, in_channels, widths, stride=1, dilation=1, relu_first=True):
        super().__init__()
        self.rep = nn.HybridSequential()
        channels = in_channels
        for i, width in enumerate(widths):
            strided = stride != 1 and i == len(widths) - 1
            if i or relu_first:
                self.rep.add(nn.Activation("relu"))
            self.rep.add(
                SeparableUnit(channels, width, stride, 1)
                if strided
                else SeparableUnit(channels, width, 1, dilation),
                norm_layer(width),
            )
            channels = width
        self.skip = self.skipbn = None
        if in_channels != channels or stride != 1:
            self.skip = conv2d(in_channels, channels, 1, stride, bias=False)
            self.skipbn = norm_layer(channels)

    def hybrid_forward(self, F, x):
        shortcut = x if self.skip is None else self.skipbn(self.skip(x))
        return self.rep(x) + shortcut


@registry.register("xception65")
class Xception65(Backbone):
    """Maps: block 1 behind a ReLU, block 2 and the middle flow without one, the end behind one."""

    channels = (128, 256, 728, 2048)

    def __init__(self, output_stride=32):
        super().__init__()
        self.strides = stage_strides(output_stride)
        _, (stride3, _, middle), (stride20, exit1, exit2) = stage_plan(output_stride)
        self.conv1 = conv2d(3, 32, 3, 2, bias=False)
        self.bn1 = norm_layer(32)
        self.conv2 = conv2d(32, 64, 3, bias=False)
        self.bn2 = norm_layer(64)
        self.block1 = XceptionBlock(64, (128,) * 3, 2, relu_first=False)
        self.block2 = XceptionBlock(128, (256,) * 3, 2, relu_first=False)
        self.block3 = XceptionBlock(256, (728,) * 3, stride3)
        self.midflow = sequential(
            *(XceptionBlock(728, (728,) * 3, dilation=middle) for _ in range(16))
        )
        self.block20 = XceptionBlock(728, (728, 1024, 1024), stride20, exit1)
        self.conv3 = SeparableUnit(1024, 1536, dilation=exit2)
        self.bn3 = norm_layer(1536)
        self.conv4 = SeparableUnit(1536, 1536, dilation=exit2)
        self.bn4 = norm_layer(1536)
        self.conv5 = SeparableUnit(1536, 2048, dilation=exit2)
        self.bn5 = norm_layer(2048)

    def hybrid_forward(self, F, x):
        x = relu(F, self.bn1(self.conv1(x)))
        x = relu(F, self.bn2(self.conv2(x)))
        c1 = relu(F, self.block1(x))
        c2 = self.block2(c1)
        c3 = self.midflow(self.block3(c2))
        x = relu(F, self.block20(c3))
        x = relu(F, self.bn3(self.conv3(x)))
        x = relu(F, self.bn4(self.conv4(x)))
        return c1, c2, c3, relu(F, self.bn5(self.conv5(x)))
