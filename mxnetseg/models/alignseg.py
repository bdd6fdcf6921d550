"""AlignSeg: every fusion of two maps first warps both by learned offsets.

Huang et al., AlignSeg: Feature-Aligned Segmentation Networks, TPAMI 2021; as in MXNetSeg: stages
join from fine (c1) to coarse, the context last, always at the size of c1.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, conv2d, norm_layer, relu, resize_like, sequential, warp
from .base import SegmentationModel, register

WIDTH = 256


class ResidualConv(nn.HybridBlock):
    """1 x 1 projection plus a 3 x 3 bottleneck over it; norm and ReLU behind the sum."""

    def __init__(self, in_channels):
        super().__init__()
        self.conv1x1 = conv2d(in_channels, WIDTH, bias=False)
        self.conv3x3_1 = ConvUnit(WIDTH, WIDTH // 4, 3)
        self.conv3x3_2 = conv2d(WIDTH // 4, WIDTH, 3, bias=False)
        self.bn = norm_layer(WIDTH)

    def hybrid_forward(self, F, x):
        x = self.conv1x1(x)
        return relu(F, self.bn(self.conv3x3_2(self.conv3x3_1(x)) + x))


def _delta(channels):
    """Two maps, joined -> pixel offsets. Not zero at the start: the warps are random."""
    return sequential(ConvUnit(2 * WIDTH, WIDTH), conv2d(WIDTH, channels, 3, bias=False))


class AlignedContext(nn.HybridBlock):
    """c4 -> (its 3 x 3 pooled context, warped; a 3 x 3 unit over it), (N, 512, H, W)."""

    def __init__(self, in_channels):
        super().__init__()
        self.conv1x1 = ConvUnit(in_channels, WIDTH)
        self.conv3x3 = ConvUnit(in_channels, WIDTH, 3)
        self.delta = _delta(2)

    def hybrid_forward(self, F, x):
        context = self.conv1x1(F.contrib.AdaptiveAvgPooling2D(x, output_size=3))
        context = resize_like(F, context, x)
        local = self.conv3x3(x)
        offset = self.delta(F.concat(context, local, dim=1))
        return F.concat(warp(F, context, offset), local, dim=1)


class Align(nn.HybridBlock):
    """(coarse map, enlarged; fine map) -> their sum, both warped."""

    def __init__(self):
        super().__init__()
        self.delta = _delta(4)

    def hybrid_forward(self, F, coarse, fine):
        offset = self.delta(F.concat(coarse, fine, dim=1))
        fine = warp(F, fine, F.slice_axis(offset, axis=1, begin=0, end=2))
        return fine + warp(F, coarse, F.slice_axis(offset, axis=1, begin=2, end=4))


class AlignBlock(nn.HybridBlock):
    """(coarse map, fine map) -> aligned sum (N, 256, *) at the size of the fine one."""

    def __init__(self, coarse_channels, fine_channels):
        super().__init__()
        self.rcb_1 = ResidualConv(coarse_channels)
        self.rcb_2 = ResidualConv(fine_channels)
        self.align = Align()

    def hybrid_forward(self, F, coarse, fine):
        fine = self.rcb_2(fine)
        return self.align(resize_like(F, self.rcb_1(coarse), fine), fine)


class AlignSegHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> logits at the stride of c1."""

    def __init__(self, channels, num_classes):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.align_cm = AlignedContext(c4)
        self.align_1 = AlignBlock(c2, c1)
        self.align_2 = AlignBlock(c3, WIDTH)
        self.align_3 = AlignBlock(c4, WIDTH)
        self.align_4 = AlignBlock(2 * WIDTH, WIDTH)
        self.rcb = ResidualConv(WIDTH)
        self.head = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        x = self.align_1(c2, c1)
        x = self.align_2(c3, x)
        x = self.align_3(c4, x)
        x = self.align_4(self.align_cm(c4), x)
        return self.head(self.rcb(x))


@register("alignseg")
class AlignSeg(SegmentationModel):
    """Aligned fusion of c1 ... c4; auxiliary head of width 256 on c4 (not c3, as elsewhere)."""

    aux_weights = (0.4,)

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = AlignSegHead(backbone.channels, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(backbone.channels[3], num_classes, width=256))

    def logits(self, F, x):
        c1, c2, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c1, c2, c3, c4), c4)
