"""ResNet 18 to 152, with the parameter names of GluonCV's v1b (18, 34) and v1s (50, 101, 152).

He et al., Deep Residual Learning for Image Recognition, CVPR 2016. "b": the stride of a bottleneck
sits on its 3 x 3 convolution; "s": a stem of three 3 x 3 convolutions, 64-64-128.
"""

from mxnet.gluon import nn

from ..nn import conv2d, norm_layer, sequential
from .base import Backbone, registry, stage_plan, stage_strides


def _conv(in_channels, channels, kernel, stride=1, dilation=1):
    return conv2d(in_channels, channels, kernel, stride, dilation=dilation, bias=False)


def _relu():
    return nn.Activation("relu")


class BasicBlock(nn.HybridBlock):
    """Two 3 x 3 convolutions; the second always has the stage's full dilation."""

    expansion = 1

    def __init__(self, in_channels, width, stride, dilation, stage_dilation):
        super().__init__()
        self.conv1 = _conv(in_channels, width, 3, stride, dilation)
        self.bn1 = norm_layer(width)
        self.relu1 = _relu()
        self.conv2 = _conv(width, width, 3, dilation=stage_dilation)
        self.bn2 = norm_layer(width)
        self.downsample = _shortcut(in_channels, width, stride)
        self.relu2 = _relu()

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.HybridBlock):
    """1 x 1, 3 x 3 (strided, dilated), 1 x 1 to four times the width."""

    expansion = 4

    def __init__(self, in_channels, width, stride, dilation, stage_dilation):
        super().__init__()
        self.conv1 = _conv(in_channels, width, 1)
        self.bn1 = norm_layer(width)
        self.relu1 = _relu()
        self.conv2 = _conv(width, width, 3, stride, dilation)
        self.bn2 = norm_layer(width)
        self.relu2 = _relu()
        self.conv3 = _conv(width, 4 * width, 1)
        self.bn3 = norm_layer(4 * width)
        self.downsample = _shortcut(in_channels, 4 * width, stride)
        self.relu3 = _relu()

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)))
        return self.relu3(self.bn3(self.conv3(x)) + shortcut)


def _shortcut(in_channels, channels, stride):
    if stride == 1 and in_channels == channels:
        return None
    return sequential(_conv(in_channels, channels, 1, stride), norm_layer(channels))


def deep_stem(width):
    """Three 3 x 3 convolutions instead of the 7 x 7; the norm behind the last is the network's."""
    return sequential(
        _conv(3, width, 3, stride=2),
        norm_layer(width),
        _relu(),
        _conv(width, width, 3),
        norm_layer(width),
        _relu(),
        _conv(width, 2 * width, 3),
    )


class ResNet(Backbone):
    """Stem, max-pool, four stages of residual blocks.

    Args:
        block: BasicBlock or Bottleneck. depths: blocks per stage.
        stem_width: of the three-convolution stem, which ends with twice that; None for one 7 x 7.
    """

    def __init__(self, block, depths, stem_width=None, output_stride=32):
        super().__init__()
        self.channels = tuple(w * block.expansion for w in (64, 128, 256, 512))
        self.strides = stage_strides(output_stride)
        channels = 2 * stem_width if stem_width else 64
        self.conv1 = deep_stem(stem_width) if stem_width else _conv(3, channels, 7, stride=2)
        self.bn1 = norm_layer(channels)
        self.relu = _relu()
        self.maxpool = nn.MaxPool2D(3, 2, 1)
        plan = [(1, 1, 1), *stage_plan(output_stride)]
        for i, (depth, (stride, first, others)) in enumerate(zip(depths, plan)):
            stage = nn.HybridSequential()
            for j in range(depth):
                stage.add(
                    block(
                        channels,
                        64 * 2**i,
                        stride if j == 0 else 1,
                        first if j == 0 else others,
                        others,
                    )
                )
                channels = self.channels[i]
            setattr(self, f"layer{i + 1}", stage)

    def hybrid_forward(self, F, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _add(name, block, depths, stem_width=None):
    @registry.register(name)
    def factory(output_stride=32):
        return ResNet(block, depths, stem_width, output_stride)


_add("resnet18", BasicBlock, (2, 2, 2, 2))
_add("resnet34", BasicBlock, (3, 4, 6, 3))
_add("resnet50", Bottleneck, (3, 4, 6, 3), stem_width=64)
_add("resnet101", Bottleneck, (3, 4, 23, 3), stem_width=64)
_add("resnet152", Bottleneck, (3, 8, 36, 3), stem_width=64)
