"""Semantic FPN: a feature pyramid without dilation, cheap in memory.

Kirillov et al., Panoptic Feature Pyramid Networks, CVPR 2019, its semantic branch; as in MXNetSeg:
batch norm and ReLU behind every pyramid convolution, p5 without a 3 x 3, the top-down path goes on
behind the 3 x 3, bilinear enlargement.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, LateralFusion, conv2d, numbered, upscale
from .base import SegmentationModel, register

PYRAMID_WIDTH = 256
WIDTH = 128


class FeaturePyramid(nn.HybridBlock):
    """(c1, c2, c3, c4) -> (p2, p3, p4, p5) of 256 channels at the same strides."""

    def __init__(self, channels):
        super().__init__()
        self.conv = ConvUnit(channels[3], PYRAMID_WIDTH)
        self.lateral16x = LateralFusion(channels[2], PYRAMID_WIDTH)
        self.lateral8x = LateralFusion(channels[1], PYRAMID_WIDTH)
        self.lateral4x = LateralFusion(channels[0], PYRAMID_WIDTH)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        p5 = self.conv(c4)
        p4 = self.lateral16x(p5, c3)
        p3 = self.lateral8x(p4, c2)
        return self.lateral4x(p3, c1), p3, p4, p5


class UpscalePath(nn.HybridBlock):
    """``steps`` times a 3 x 3 unit to 128 channels and an enlargement to twice the size."""

    def __init__(self, steps):
        super().__init__()
        widths = [PYRAMID_WIDTH] + [WIDTH] * (steps - 1)
        self._units = numbered(self, "", (ConvUnit(c, WIDTH, 3) for c in widths), first=0)

    def hybrid_forward(self, F, x):
        for unit in self._units:
            x = upscale(F, unit(x), 2)
        return x


class SemanticBranch(nn.HybridBlock):
    """(p2, p3, p4, p5) -> their sum (N, 128, H/4, W/4)."""

    def __init__(self):
        super().__init__()
        self.scale_p5 = UpscalePath(3)
        self.scale_p4 = UpscalePath(2)
        self.scale_p3 = UpscalePath(1)
        self.scale_p2 = ConvUnit(PYRAMID_WIDTH, WIDTH, 3)

    def hybrid_forward(self, F, p2, p3, p4, p5):
        return self.scale_p5(p5) + self.scale_p4(p4) + self.scale_p3(p3) + self.scale_p2(p2)


class SemanticFPNHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> logits at stride 4."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.fpn = FeaturePyramid(channels)
        self.semantic = SemanticBranch()
        self.seg = conv2d(WIDTH, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        return self.seg(self.semantic(*self.fpn(c1, c2, c3, c4)))


@register("semanticfpn")
class SemanticFPN(SegmentationModel):
    """Takes multiples of 32: maps that were enlarged by whole factors are added."""

    size_divisor = 32
    min_size = 32
    output_strides = (32,)

    def __init__(self, num_classes, backbone):
        super().__init__(num_classes, backbone)
        self.head = SemanticFPNHead(backbone.channels, num_classes)

    def logits(self, F, x):
        return (self.head(*self.backbone(x)),)
