"""MobileNetV3 large and small in any width, with the parameter names of MLMSNet.

Howard et al., Searching for MobileNetV3, ICCV 2019; as in lih627/MLMSNet, after
d-li14/mobilenetv3.pytorch. MLMSNet runs it at stride 8 without dilation, on the weights of the
stride-32 network: stages 3 and 4 just keep their size. Squeeze-and-excitation stands before the
activation of a block that expands, and behind it in one that does not.
"""

from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import (
    Activation,
    TwoGraphBlock,
    conv2d,
    conv_unit,
    global_pool,
    norm_layer,
    sequential,
    unbiased_variance,
)
from ..registry import unknown
from .base import Backbone, registry, stage_strides

# Stages 1 to 4 of blocks (kernel, expansion, channels at width 1, squeeze-excite, activation). The
# first block of a stage has the stride, but in stage 1 of the large one the second.
STAGES = {
    "large": (
        ((3, 1, 16, 0, "relu"), (3, 4, 24, 0, "relu"), (3, 3, 24, 0, "relu")),
        ((5, 3, 40, 1, "relu"),) * 3,
        (
            (3, 6, 80, 0, "hard_swish"),
            (3, 2.5, 80, 0, "hard_swish"),
            (3, 2.3, 80, 0, "hard_swish"),
            (3, 2.3, 80, 0, "hard_swish"),
            (3, 6, 112, 1, "hard_swish"),
            (3, 6, 112, 1, "hard_swish"),
        ),
        ((5, 6, 160, 1, "hard_swish"),) * 3,
    ),
    "small": (
        ((3, 1, 16, 1, "relu"),),
        ((3, 4.5, 24, 0, "relu"), (3, 3.67, 24, 0, "relu")),
        (
            (5, 4, 40, 1, "hard_swish"),
            (5, 6, 40, 1, "hard_swish"),
            (5, 6, 40, 1, "hard_swish"),
            (5, 3, 48, 1, "hard_swish"),
            (5, 3, 48, 1, "hard_swish"),
        ),
        ((5, 6, 96, 1, "hard_swish"),) * 3,
    ),
}
_TAIL = {"large": 1280, "small": 1024}


def round_channels(value):
    """To the nearest multiple of 8, never below 8 nor by more than a tenth."""
    rounded = max(8, int(value + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * value else rounded


def _numbered(*blocks):
    """A sequence whose blocks are named by their place in ``blocks``, None leaving a gap."""
    out = nn.HybridSequential()
    for i, block in enumerate(blocks):
        if block is not None:
            out.register_child(block, str(i))
    return out


class SqueezeExcite(nn.HybridBlock):
    """x times a gate per channel, made of the means of all channels."""

    def __init__(self, channels):
        super().__init__()
        squeezed = round_channels(channels // 4)
        self.fc = sequential(
            nn.Dense(squeezed, in_units=channels),
            nn.Activation("relu"),
            nn.Dense(channels, in_units=squeezed),
            Activation("hard_sigmoid"),
        )

    def hybrid_forward(self, F, x):
        gate = F.reshape(self.fc(global_pool(F, x)), shape=(0, 0, 1, 1))
        return F.broadcast_mul(x, gate)


class InvertedResidual(nn.HybridBlock):
    """Expand 1 x 1 (if ``width`` differs), depthwise, project 1 x 1; nothing behind the sum."""

    def __init__(self, in_channels, width, channels, kernel, stride, dilation, squeeze, act):
        super().__init__()
        self._shortcut = stride == 1 and in_channels == channels
        expand = ()
        if width != in_channels:
            expand = (conv2d(in_channels, width, bias=False), norm_layer(width), Activation(act))
        gate = SqueezeExcite(width) if squeeze else None
        self.conv = _numbered(
            *expand,
            conv2d(width, width, kernel, stride, dilation=dilation, groups=width, bias=False),
            norm_layer(width),
            *((gate, Activation(act)) if expand else (Activation(act), gate)),
            conv2d(width, channels, bias=False),
            norm_layer(channels),
        )

    def hybrid_forward(self, F, x):
        y = self.conv(x)
        return x + y if self._shortcut else y


class MobileNetV3(Backbone):
    """Channels of the maps at width 1: 24, 40, 112, 160 (large); 16, 24, 48, 96 (small).

    Args:
        mode: "large" or "small". width: factor on all channels.
        output_stride: 8, 16 or 32; below 32 stages keep their size, without dilation.
        atrous3, atrous4: dilate all depthwise convolutions of stage 3, 4 by 2; for stride 8.
    """

    def __init__(self, mode, width=1.0, output_stride=32, atrous3=False, atrous4=False):
        super().__init__()
        if mode not in STAGES:
            raise unknown("mode of MobileNetV3", mode, STAGES)
        if not width > 0:
            raise UsageError(f"The width of MobileNetV3 must be positive, not {width}.")
        self.strides = stage_strides(output_stride)
        dilations = (1, 1, 2 if atrous3 else 1, 2 if atrous4 else 1)
        channels = round_channels(16 * width)
        self.layer0 = sequential(conv_unit(3, channels, 3, 2, act="hard_swish"))
        reached, tapped = 2, []
        for i, (blocks, stride, dilation) in enumerate(zip(STAGES[mode], self.strides, dilations)):
            stage = nn.HybridSequential()
            strided = 1 if mode == "large" and i == 0 else 0
            for j, (kernel, expansion, base, squeeze, act) in enumerate(blocks):
                out = round_channels(base * width)
                stage.add(
                    InvertedResidual(
                        channels,
                        round_channels(channels * expansion),
                        out,
                        kernel,
                        stride // reached if j == strided else 1,
                        dilation,
                        squeeze,
                        act,
                    )
                )
                channels = out
            reached = stride
            tapped.append(channels)
            setattr(self, f"layer{i + 1}", stage)
        self.channels = tuple(tapped)
        self.tail_channels = round_channels(tapped[-1] * STAGES[mode][-1][-1][1])

    def hybrid_forward(self, F, x):
        c1 = self.layer1(self.layer0(x))
        c2 = self.layer2(c1)
        c3 = self.layer3(c2)
        return c1, c2, c3, self.layer4(c3)


class MobileNetV3Classifier(TwoGraphBlock):
    """Images (N, 3, H, W) -> scores (N, num_classes): the backbone and its ImageNet tail."""

    def __init__(self, mode, num_classes=1000, width=1.0, output_stride=32):
        super().__init__()
        self.backbone = MobileNetV3(mode, width, output_stride)
        channels = self.backbone.tail_channels
        hidden = round_channels(_TAIL[mode] * width) if width > 1 else _TAIL[mode]
        self.conv = sequential(
            conv2d(self.backbone.channels[-1], channels, bias=False),
            norm_layer(channels),
            Activation("hard_swish"),
        )
        self.classifier = sequential(
            nn.Dense(hidden, in_units=channels),
            Activation("hard_swish"),
            nn.Dropout(0.2),
            nn.Dense(num_classes, in_units=hidden),
        )
        unbiased_variance(self)

    def hybrid_forward(self, F, x):
        return self.classifier(global_pool(F, self.conv(self.backbone(x)[-1])))


@registry.register("mobilenetv3_large")
def mobilenetv3_large(output_stride=32, width=1.0, atrous3=False, atrous4=False):
    """ImageNet weights exist for the widths 1 and 0.75."""
    return MobileNetV3("large", width, output_stride, atrous3, atrous4)


@registry.register("mobilenetv3_small")
def mobilenetv3_small(output_stride=32, width=1.0):
    """ImageNet weights exist for the widths 1 and 0.75."""
    return MobileNetV3("small", width, output_stride)
