"""DenseNet 121 to 201, with the parameter names of MXNetSeg (GluonCV's features, cut in five).

Huang et al., Densely Connected Convolutional Networks, CVPR 2017.
"""

from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import HybridConcurrent, Identity

from ..nn import conv2d, norm_layer, sequential
from .base import Backbone, registry, stage_plan, stage_strides


def _relu():
    return nn.Activation("relu")


def dense_block(in_channels, growth, depth, dilation):
    """``depth`` units; each joins ``growth`` new maps to its input."""
    block = nn.HybridSequential()
    for channels in range(in_channels, in_channels + depth * growth, growth):
        new = sequential(
            norm_layer(channels),
            _relu(),
            conv2d(channels, 4 * growth, bias=False),
            norm_layer(4 * growth),
            _relu(),
            conv2d(4 * growth, growth, 3, dilation=dilation, bias=False),
        )
        unit = HybridConcurrent(axis=1)
        unit.add(Identity(), new)
        block.add(unit)
    return block


def transition(in_channels, stride):
    """Half the channels; half the size, rounded down, at stride 2."""
    return sequential(
        norm_layer(in_channels),
        _relu(),
        conv2d(in_channels, in_channels // 2, bias=False),
        nn.AvgPool2D(2, 2) if stride == 2 else None,
    )


class DenseNet(Backbone):
    """Maps: the dense blocks' concatenations as they are; the last behind norm and ReLU.

    Where the output stride asks for it, a transition does not pool and the units behind it are
    dilated (the original knows output stride 32 only).

    Args:
        stem_channels: of the 7 x 7. growth: new channels per unit. depths: units per block.
    """

    min_size = 29  # a transition cannot halve one row
    rounds_up = False

    def __init__(self, stem_channels, growth, depths, output_stride=32):
        super().__init__()
        self.strides = stage_strides(output_stride)
        self.stem = sequential(
            conv2d(3, stem_channels, 7, 2, bias=False),
            norm_layer(stem_channels),
            _relu(),
            nn.MaxPool2D(3, 2, 1),
        )
        channels = stem_channels + depths[0] * growth
        self.layer1 = sequential(dense_block(stem_channels, growth, depths[0], 1))
        self.channels = (channels,)
        for i, (stride, _, dilation) in enumerate(stage_plan(output_stride), start=1):
            stage = sequential(
                transition(channels, stride),
                dense_block(channels // 2, growth, depths[i], dilation),
            )
            channels = channels // 2 + depths[i] * growth
            self.channels += (channels,)
            setattr(self, f"layer{i + 1}", stage)
        self.layer4.add(norm_layer(channels), _relu())

    def hybrid_forward(self, F, x):
        c1 = self.layer1(self.stem(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _add(name, stem_channels, growth, depths):
    @registry.register(name)
    def factory(output_stride=32):
        return DenseNet(stem_channels, growth, depths, output_stride)


_add("densenet121", 64, 32, (6, 12, 24, 16))
_add("densenet161", 96, 48, (6, 12, 36, 24))
_add("densenet169", 64, 32, (6, 12, 32, 32))
_add("densenet201", 64, 32, (6, 12, 48, 32))
