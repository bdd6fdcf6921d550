"""Xception-39, the light backbone of BiSeNet-X.

Yu et al., BiSeNet, ECCV 2018, with the parameter names of MXNetSeg.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, conv2d
from .base import Backbone, registry


class _Separable(nn.HybridBlock):
    """Bare depthwise 3 x 3, then a 1 x 1 unit."""

    def __init__(self, in_channels, channels, stride=1, act="relu"):
        super().__init__()
        self.depthwise = conv2d(in_channels, in_channels, 3, stride, groups=in_channels, bias=False)
        self.pointwise = ConvUnit(in_channels, channels, act=act)

    def hybrid_forward(self, F, x):
        return self.pointwise(self.depthwise(x))


class XceptionBlock(nn.HybridBlock):
    """Three separable convolutions i -> m -> m -> 4m around a shortcut."""

    def __init__(self, in_channels, width, stride):
        super().__init__()
        self.residual = nn.HybridSequential()
        self.residual.add(
            _Separable(in_channels, width, stride),
            _Separable(width, width),
            _Separable(width, 4 * width, act=None),
        )
        self.down = None
        if stride == 2:
            self.down = ConvUnit(in_channels, 4 * width, stride=2, padding=0, act=None)

    def hybrid_forward(self, F, x):
        shortcut = x if self.down is None else self.down(x)
        return F.Activation(shortcut + self.residual(x), act_type="relu")


@registry.register("xception39")
class Xception39(Backbone):
    """Stem, max-pool (c1, 8 channels), then stages of 4, 8 and 4 blocks (64, 128, 256)."""

    channels = (8, 64, 128, 256)

    def __init__(self):
        super().__init__()
        self.conv = ConvUnit(3, 8, 3, stride=2)
        self.pool = nn.MaxPool2D(3, 2, 1)
        channels = 8
        for i, (width, depth) in enumerate(((16, 4), (32, 8), (64, 4))):
            stage = nn.HybridSequential()
            for j in range(depth):
                stage.add(XceptionBlock(channels, width, stride=2 if j == 0 else 1))
                channels = 4 * width
            setattr(self, f"layer{i + 1}", stage)

    def hybrid_forward(self, F, x):
        c1 = self.pool(self.conv(x))
        c2 = self.layer1(c1)
        c3 = self.layer2(c2)
        return c1, c2, c3, self.layer3(c3)
