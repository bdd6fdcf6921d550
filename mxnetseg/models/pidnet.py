"""PIDNet: a detail (P), a context (I) and a boundary (D) branch, fused where D sees boundaries.

Xu et al., PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers, CVPR 2023;
as in XuJiacong/PIDNet. P and D stay at 1/8, I goes down to 1/64.
"""

from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import (
    DAPPM,
    PAPPM,
    BasicBlock,
    Bottleneck,
    PreActHead,
    basic_stage,
    conv_unit,
    pre_activated,
    relu,
    resize_like,
    sequential,
    unbiased_variance,
)
from ..registry import unknown
from .base import SegmentationModel, register

# variant: ((m, n) blocks of P's and of I's stages; width of the stem, of the pyramid, of the heads)
VARIANTS = {
    "S": ((2, 3), 32, 96, 128),
    "M": ((2, 3), 64, 96, 128),
    "L": ((3, 4), 64, 112, 256),
}


def _enlarge(F, x, like):
    return resize_like(F, x, like, align_corners=False)


class PixelAttention(nn.HybridBlock):
    """Pag: (1 - s) p + s y, y enlarged; s (N, 1, H, W) says where both embeddings agree."""

    def __init__(self, channels, width):
        super().__init__()
        self.f_x = conv_unit(channels, width, act=None)
        self.f_y = conv_unit(channels, width, act=None)

    def hybrid_forward(self, F, p, y):
        agreement = self.f_x(p) * _enlarge(F, self.f_y(y), p)
        s = F.sigmoid(F.sum(agreement, axis=1, keepdims=True))
        y = _enlarge(F, y, p)
        return p + F.broadcast_mul(s, y - p)


class LightBag(nn.HybridBlock):
    """Boundary attention of S and M: where there is a boundary, detail; elsewhere, context."""

    def __init__(self, channels):
        super().__init__()
        self.conv_p = conv_unit(channels, channels, act=None)
        self.conv_i = conv_unit(channels, channels, act=None)

    def hybrid_forward(self, F, p, i, d):
        edge = F.sigmoid(d)
        return self.conv_p(p + (1 - edge) * i) + self.conv_i(i + edge * p)


class Bag(nn.HybridBlock):
    """Boundary attention of L."""

    def __init__(self, channels):
        super().__init__()
        self.conv = pre_activated(channels, channels, 3)

    def hybrid_forward(self, F, p, i, d):
        edge = F.sigmoid(d)
        return self.conv(edge * p + (1 - edge) * i)


@register("pidnet")
class PIDNet(SegmentationModel):
    """Main output, auxiliary classes of the P branch, boundary of the D branch, all at 1/8.

    Args:
        variant: "S", "M" or "L".
        aux: whether there are the auxiliary and the boundary head.
        depths: (m, n), blocks of the stages at 1/4 and 1/8, and of the coarser ones; by default
            the variant's. m = 2 makes the layout of S and M, any other the one of L.
        planes, ppm_planes, head_planes: width of the stem, of a pyramid branch, inside the heads;
            by default the variant's.
    """

    aux_weights = (0.4, 20.0)
    size_divisor = 8
    min_batch = 2

    def __init__(
        self,
        num_classes,
        variant="S",
        aux=True,
        depths=None,
        planes=None,
        ppm_planes=None,
        head_planes=None,
    ):
        super().__init__(num_classes)
        if str(variant).upper() not in VARIANTS:
            raise unknown("variant of PIDNet", variant, VARIANTS)
        own = VARIANTS[str(variant).upper()]
        m, n = _two(depths or own[0])
        c, ppm_planes, head_planes = planes or own[1], ppm_planes or own[2], head_planes or own[3]
        light = m == 2

        self.conv1 = sequential(
            *conv_unit(3, c, 3, 2, bias=True), *conv_unit(c, c, 3, 2, bias=True)
        )
        self.layer1 = basic_stage(c, c, m)
        self.layer2 = basic_stage(c, 2 * c, m, stride=2)
        self.layer3 = basic_stage(2 * c, 4 * c, n, stride=2)
        self.layer4 = basic_stage(4 * c, 8 * c, n, stride=2)
        self.layer5 = sequential(Bottleneck(8 * c, 8 * c, stride=2), Bottleneck(16 * c, 8 * c))

        self.compression3 = conv_unit(4 * c, 2 * c, act=None)
        self.compression4 = conv_unit(8 * c, 2 * c, act=None)
        self.pag3 = PixelAttention(2 * c, c)
        self.pag4 = PixelAttention(2 * c, c)
        self.layer3_ = basic_stage(2 * c, 2 * c, m)
        self.layer4_ = basic_stage(2 * c, 2 * c, m)
        self.layer5_ = sequential(Bottleneck(2 * c, 2 * c))

        width = c if light else 2 * c
        self.layer3_d = BasicBlock(2 * c, width, relu=False)
        self.layer4_d = (
            sequential(Bottleneck(c, c)) if light else BasicBlock(2 * c, 2 * c, relu=False)
        )
        self.diff3 = conv_unit(4 * c, width, 3, act=None)
        self.diff4 = conv_unit(8 * c, 2 * c, 3, act=None)
        self.layer5_d = sequential(Bottleneck(2 * c, 2 * c))

        self.spp = (PAPPM if light else DAPPM)(16 * c, ppm_planes, 4 * c)
        self.dfm = (LightBag if light else Bag)(4 * c)
        self.final_layer = PreActHead(4 * c, head_planes, num_classes)
        self.seghead_p = self.seghead_d = None
        if aux:
            self.output_names = ("main", "aux", "boundary")
            self.seghead_p = PreActHead(2 * c, head_planes, num_classes)
            self.seghead_d = PreActHead(2 * c, c, 1)
        unbiased_variance(self)

    def logits(self, F, x):
        x = relu(F, self.layer1(self.conv1(x)))
        x = relu(F, self.layer2(x))
        # The extra heads, too, read activated p and d: the original's ReLUs work in place.
        i = relu(F, self.layer3(x))
        p3 = relu(F, self.pag3(self.layer3_(x), self.compression3(i)))
        d = self.layer3_d(x)
        d = relu(F, d + _enlarge(F, self.diff3(i), d))

        i = relu(F, self.layer4(i))
        p = relu(F, self.pag4(self.layer4_(p3), self.compression4(i)))
        d = self.layer4_d(d)
        d4 = relu(F, d + _enlarge(F, self.diff4(i), d))

        p = self.layer5_(p)
        i = _enlarge(F, self.spp(self.layer5(i)), p)
        main = self.final_layer(self.dfm(p, i, self.layer5_d(d4)))
        return self.with_heads(main, (self.seghead_p, p3), (self.seghead_d, d4))


def _two(depths):
    depths = tuple(depths)
    if len(depths) != 2 or not all(isinstance(n, int) and n > 0 for n in depths):
        raise UsageError(f"depths of PIDNet are two positive numbers of blocks, not {depths}.")
    return depths
