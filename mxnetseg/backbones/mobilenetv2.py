"""MobileNetV2 in four widths, with MXNetSeg's parameter names (GluonCV's features, cut in four).

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018.
"""

from mxnet.gluon import nn

from ..nn import Activation, conv2d, norm_layer
from .base import Backbone, registry, stage_plan, stage_strides

# (expansion, channels at width 1, blocks) of each group, by stage; a stage's first block strides.
_STAGES = (
    ((1, 16, 1), (6, 24, 2)),
    ((6, 32, 3),),
    ((6, 64, 4), (6, 96, 3)),
    ((6, 160, 3), (6, 320, 1)),
)


def _add_conv(sequence, in_channels, channels, kernel=1, stride=1, dilation=1, groups=1, act=True):
    sequence.add(
        conv2d(in_channels, channels, kernel, stride, dilation=dilation, groups=groups, bias=False),
        norm_layer(channels),
    )
    if act:
        sequence.add(Activation("relu6"))


class InvertedResidual(nn.HybridBlock):
    """Expand 1 x 1, depthwise 3 x 3, project 1 x 1; identity shortcut where the shapes agree."""

    def __init__(self, in_channels, channels, expansion, stride, dilation):
        super().__init__()
        self._shortcut = stride == 1 and in_channels == channels
        width = in_channels * expansion
        self.out = nn.HybridSequential()
        if expansion != 1:
            _add_conv(self.out, in_channels, width)
        _add_conv(self.out, width, width, 3, stride, dilation, groups=width)
        _add_conv(self.out, width, channels, act=False)

    def hybrid_forward(self, F, x):
        y = self.out(x)
        return x + y if self._shortcut else y


class MobileNetV2(Backbone):
    """Channels 24, 32, 96, 320 times ``width``, cut to whole numbers."""

    def __init__(self, width, output_stride=32):
        super().__init__()
        self.strides = stage_strides(output_stride)
        self.channels = tuple(int(stage[-1][1] * width) for stage in _STAGES)
        channels = int(32 * width)
        layer1 = nn.HybridSequential()
        _add_conv(layer1, 3, channels, 3, stride=2)
        stages = [layer1, *(nn.HybridSequential() for _ in range(3))]
        plan = [(2, 1, 1), *stage_plan(output_stride)]
        for i, (stage, groups) in enumerate(zip(stages, _STAGES)):
            stride, first, others = plan[i]
            strided = 1 if i == 0 else 0  # the block of expansion 1 comes before the stride
            blocks = [(t, int(base * width)) for t, base, depth in groups for _ in range(depth)]
            for j, (expansion, out) in enumerate(blocks):
                stage.add(
                    InvertedResidual(
                        channels,
                        out,
                        expansion,
                        stride if j == strided else 1,
                        first if j <= strided else others,
                    )
                )
                channels = out
            setattr(self, f"layer{i + 1}", stage)

    def hybrid_forward(self, F, x):
        c1 = self.layer1(x)
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


def _add(name, width):
    @registry.register(name)
    def factory(output_stride=32):
        return MobileNetV2(width, output_stride)


_add("mobilenet_v2_1_0", 1.0)
_add("mobilenet_v2_0_75", 0.75)
_add("mobilenet_v2_0_5", 0.5)
_add("mobilenet_v2_0_25", 0.25)
