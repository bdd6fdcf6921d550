"""EPRNet's trunk, normal and light, and the classifier that it is pre-trained in.

Tang et al., EPRNet: Efficient Pyramid Representation Network for Real-Time Street Scene
Segmentation, IEEE Transactions on Intelligent Transportation Systems 2022; as in MXNetSeg, the
authors' own code, with its parameter names.
"""

from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import ConvUnit, concat, conv2d, global_pool, norm_layer, sequential
from ..nn import activation as activation_block
from .base import Backbone, registry

# (stride, dilations of the pyramid) of the blocks, by stage
_STAGES = (
    ((1, (1, 2, 4)), (2, (1, 2, 4))),
    ((1, (3, 6, 9)), (1, (3, 6, 9)), (1, (3, 6, 9)), (2, (3, 6, 9))),
    ((1, (7, 13, 19)), (1, (13, 25, 37))),
)


class Pyramid(nn.HybridBlock):
    """Depthwise 3 x 3 units at three dilations and a 1 x 1 unit, joined and projected.

    ``light``: the sum of the depthwise units only.
    """

    def __init__(self, in_channels, channels, rates, light, act):
        super().__init__()
        self._channels = [channels] * 4
        self.concurrent = sequential(
            *(
                ConvUnit(in_channels, channels, 3, dilation=rate, groups=in_channels, act=act)
                for rate in rates
            ),
            None if light else ConvUnit(in_channels, channels, act=act),
        )
        self.conv1x1 = None if light else ConvUnit(4 * channels, channels, act=act)

    def hybrid_forward(self, F, x):
        maps = [branch(x) for branch in self.concurrent]
        if self.conv1x1 is None:
            return maps[0] + maps[1] + maps[2]
        return self.conv1x1(concat(F, maps, self._channels))


class PyramidBlock(nn.HybridBlock):
    """Pyramid, then a 3 x 3 unit with the stride, around a shortcut; activation behind the sum."""

    def __init__(self, in_channels, channels, stride, rates, light, act):
        super().__init__()
        self.pyramid = Pyramid(in_channels, channels, rates, light, act)
        self.compact = ConvUnit(channels, channels, 3, stride, act=None)
        self.skip = self.skip_bn = None
        if in_channels != channels or stride == 2:
            self.skip = conv2d(in_channels, channels, stride=stride, bias=False)
            self.skip_bn = norm_layer(channels)
        self.act = activation_block(act)

    def hybrid_forward(self, F, x):
        shortcut = x if self.skip is None else self.skip_bn(self.skip(x))
        x = self.compact(self.pyramid(x)) + shortcut
        return x if self.act is None else self.act(x)


@registry.register("eprnet")
class EPRNetTrunk(Backbone):
    """Stem (c1, stride 2), then three stages of pyramid blocks (strides 4, 8, 8).

    Args:
        light: pyramids without a dense 1 x 1 branch and projection.
        activation: of every unit; each PReLU has a slope of its own.
        widths: channels of the stem and the stages.
    """

    strides = (2, 4, 8, 8)

    def __init__(self, light=False, activation="prelu", widths=(16, 32, 64, 128)):
        super().__init__()
        if len(widths) != 4 or any(b % a for a, b in zip(widths, widths[1:])):
            raise UsageError(
                "widths must be four numbers, each a multiple of the one before it (depthwise "
                f"convolutions widen), not {tuple(widths)}."
            )
        self.channels = tuple(widths)
        self.conv = conv2d(3, widths[0], 3, stride=2, bias=False)
        self.bn = norm_layer(widths[0])
        self.act = activation_block(activation)
        for i, blocks in enumerate(_STAGES):
            channels, stage = widths[i], nn.HybridSequential()
            for stride, rates in blocks:
                stage.add(PyramidBlock(channels, widths[i + 1], stride, rates, light, activation))
                channels = widths[i + 1]
            setattr(self, f"layer{i + 1}", stage)

    def adapted(self, entries):
        """MXNetSeg's own files hold a PReLU's slope one level further down, as act.act.alpha."""
        theirs, ours = "act.act.alpha", "act.alpha"
        return {
            k[: -len(theirs)] + ours if k.endswith(theirs) else k: v for k, v in entries.items()
        }

    def hybrid_forward(self, F, x):
        c1 = self.bn(self.conv(x))
        c1 = c1 if self.act is None else self.act(c1)
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        return c1, c2, c3, self.layer3(c3)


@registry.register("eprnet_light")
class EPRNetLightTrunk(EPRNetTrunk):
    """The light variant, as a backbone with a name."""

    def __init__(self, activation="prelu"):
        super().__init__(light=True, activation=activation)


class EPRNetClassifier(nn.HybridBlock):
    """Images (N, 3, H, W) -> scores (N, num_classes) before the softmax.

    ``classifier.backbone`` has the parameters of the segmentation network's trunk.
    """

    def __init__(
        self, num_classes=1000, light=False, activation="prelu", dropout=0, widths=(16, 32, 64, 128)
    ):
        super().__init__()
        self.backbone = EPRNetTrunk(light, activation, widths)
        self.drop = nn.Dropout(dropout) if dropout else None
        self.linear = nn.Dense(num_classes, in_units=widths[-1])

    def hybrid_forward(self, F, x):
        x = F.flatten(global_pool(F, self.backbone(x)[3]))
        return self.linear(x if self.drop is None else self.drop(x))
