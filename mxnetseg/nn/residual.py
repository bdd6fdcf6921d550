"""Residual blocks of the real-time networks that descend from DDRNet (SANet, PIDNet).

Hong et al., Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road
Scenes, 2021. Unlike a ResNet's, a block may leave out the ReLU behind its sum: whoever reads a
stage then gets both the sum and, through a ReLU of its own, the activated map.
"""

from mxnet.gluon import nn

from .activation import relu
from .conv import conv2d, conv_unit, sequential
from .norm import norm_layer


def _shortcut(in_channels, channels, stride):
    if stride == 1 and in_channels == channels:
        return None
    return conv_unit(in_channels, channels, stride=stride, act=None)


class BasicBlock(nn.HybridBlock):
    """Two 3 x 3 convolutions, the first strided, around a shortcut.

    Args:
        relu: whether a ReLU follows the sum.
    """

    def __init__(self, in_channels, channels, stride=1, relu=True):
        super().__init__()
        self._relu = relu
        self.conv1 = conv2d(in_channels, channels, 3, stride, bias=False)
        self.bn1 = norm_layer(channels)
        self.conv2 = conv2d(channels, channels, 3, bias=False)
        self.bn2 = norm_layer(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(relu(F, self.bn1(self.conv1(x))))) + shortcut
        return relu(F, y) if self._relu else y


class Bottleneck(nn.HybridBlock):
    """1 x 1, 3 x 3 (strided), 1 x 1 to twice the width, around a shortcut; no ReLU at the end."""

    def __init__(self, in_channels, width, stride=1):
        super().__init__()
        self.conv1 = conv2d(in_channels, width, bias=False)
        self.bn1 = norm_layer(width)
        self.conv2 = conv2d(width, width, 3, stride, bias=False)
        self.bn2 = norm_layer(width)
        self.conv3 = conv2d(width, 2 * width, bias=False)
        self.bn3 = norm_layer(2 * width)
        self.downsample = _shortcut(in_channels, 2 * width, stride)

    def hybrid_forward(self, F, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = relu(F, self.bn1(self.conv1(x)))
        y = relu(F, self.bn2(self.conv2(y)))
        return self.bn3(self.conv3(y)) + shortcut


def basic_stage(in_channels, channels, depth, stride=1):
    """``depth`` basic blocks, the first strided; no ReLU behind the last of two or more."""
    last = depth - 1
    return sequential(
        *(
            BasicBlock(
                in_channels if i == 0 else channels,
                channels,
                stride if i == 0 else 1,
                relu=i == 0 or i < last,
            )
            for i in range(depth)
        )
    )
