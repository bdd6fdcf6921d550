"""PMSDSEN: units with a detail branch, a dilation branch and a channel gate in parallel.

Liu et al., Efficient Parallel Multi-Scale Detail and Semantic Encoding Network for Lightweight
Semantic Segmentation, ACM Multimedia 2023; as in liux520/PMSDSEN. 0.92 M parameters, encoder and
decoder at 1/2, 1/4 and 1/8. The original's channel shuffle behind each unit has as many groups as
channels, which changes nothing; it is left out.

Attributes that are abbreviations are the original's, because checkpoints carry them: LDI, the
branch of local detail; MSLRI, that of multi-scale long range; LRMS, its cascade of dilated
convolutions; DWFF4, DWFF5, the weighted fusions before layers 4 and 5; MSSE_, the pyramid.
"""

from mxnet.gluon import nn

from ..nn import (
    EfficientChannelAttention,
    GlobalPool,
    activation,
    average_pool,
    concat_equal,
    conv2d,
    conv_unit,
    global_pool,
    norm_layer,
    pooling_cascade,
    sequential,
    unbiased_variance,
)
from ..nn.dappm import POOLS
from .base import SegmentationModel, register

WIDTH = 32
DEPTHS = (1, 2, 6, 2, 1)  # units of layers 1 to 5


class NormAct(nn.HybridBlock):
    """Batch norm, activation."""

    def __init__(self, channels, act):
        super().__init__()
        self.br = sequential(norm_layer(channels), activation(act, channels))

    def hybrid_forward(self, F, x):
        return self.br(x)


class DetailHalf(nn.HybridBlock):
    """[a, b]: a by 1 x 1 to half the channels, b by a depthwise 3 x 3 of a."""

    def __init__(self, channels, act):
        super().__init__()
        half = channels // 2
        self.compress = conv_unit(channels, half, act=act)
        self.process = conv_unit(half, half, 3, act=act, groups=half)

    def hybrid_forward(self, F, x):
        a = self.compress(x)
        return F.concat(a, self.process(a), dim=1)


class DilationCascade(nn.HybridBlock):
    """LRMS: four groups of channels, dilated by 1 to 4, each fed by the one before; always GELU."""

    def __init__(self, channels):
        super().__init__()
        quarter = channels // 4
        self.head = conv_unit(channels, channels, act="gelu", bias=True)
        self.x1, self.x2, self.x3, self.x4 = (
            conv_unit(quarter, quarter, 3, dilation=d, groups=quarter, bias=True, act="gelu")
            for d in range(1, 5)
        )
        self.tail = conv_unit(channels, channels, act=None, bias=True)
        self.act = activation("gelu")

    def hybrid_forward(self, F, x):
        first, *others = F.split(self.head(x), num_outputs=4, axis=1)
        maps = [self.x1(first)]
        for unit, group in zip((self.x2, self.x3, self.x4), others):
            maps.append(unit(group + maps[-1]))
        return self.act(self.tail(concat_equal(F, *maps)) + x)


class RangeHalf(nn.HybridBlock):
    """[a, b]: a by 1 x 1 to half the channels, b by the cascade of a."""

    def __init__(self, channels, act):
        super().__init__()
        half = channels // 2
        self.conv = conv_unit(channels, half, act=act, bias=True)
        self.LRMS = DilationCascade(half)

    def hybrid_forward(self, F, x):
        a = self.conv(x)
        return F.concat(a, self.LRMS(a), dim=1)


class Branch(nn.HybridBlock):
    """x + half(gate(half(x))): LDI with DetailHalf, MSLRI with RangeHalf."""

    def __init__(self, half, channels, act):
        super().__init__()
        self.conv = sequential(
            half(channels, act), EfficientChannelAttention(channels), half(channels, act)
        )

    def hybrid_forward(self, F, x):
        return self.conv(x) + x


class Unit(nn.HybridBlock):
    """PMSDSE: both branches and a gate in parallel, around the un-normalised input."""

    def __init__(self, channels, act):
        super().__init__()
        self.LDI = Branch(DetailHalf, channels, act)
        self.MSLRI = Branch(RangeHalf, channels, act)
        self.Attn = EfficientChannelAttention(channels)
        self.bn_act = NormAct(channels, act)
        self.conv1x1 = conv_unit(channels, channels, act=None, bias=True)
        self.Attn_output = EfficientChannelAttention(channels)
        self.entry_bn_act = NormAct(channels, act)
        self.act = activation(act, channels)

    def hybrid_forward(self, F, x):
        y = self.entry_bn_act(x)
        y = self.bn_act(self.LDI(y) + self.MSLRI(y) + self.Attn(y))
        return self.act(self.Attn_output(self.conv1x1(y)) + x)


class _Strided(nn.HybridBlock):
    """3 x 3 convolution of stride 2, norm, activation."""

    def __init__(self, in_channels, channels, act):
        super().__init__()
        self.cbr = conv_unit(in_channels, channels, 3, act=act, stride=2)

    def hybrid_forward(self, F, x):
        return self.cbr(x)


def shrink_image(F, x):
    """Half the size: the sum (not the mean) of an average and a maximum over 3 x 3."""
    pool = dict(kernel=(3, 3), stride=(2, 2), pad=(1, 1))
    return F.Pooling(x, pool_type="avg", **pool) + F.Pooling(x, pool_type="max", **pool)


class DownBlock(nn.HybridBlock):
    """(features, image at their size) -> twice the channels at half the size."""

    def __init__(self, channels, act):
        super().__init__()
        self.conv3x3 = _Strided(channels + 3, channels, act)
        self.bn_act = NormAct(2 * channels, act)

    def hybrid_forward(self, F, x, image):
        pool = dict(kernel=(2, 2), stride=(2, 2))
        pooled = F.Pooling(x, pool_type="max", **pool) + F.Pooling(x, pool_type="avg", **pool)
        return self.bn_act(F.concat(self.conv3x3(F.concat(x, image, dim=1)), pooled, dim=1))


class UpBlock(nn.HybridBlock):
    """Transposed 3 x 3 convolution to half the channels at twice the size, norm, activation."""

    def __init__(self, channels, act):
        super().__init__()
        half = channels // 2
        self.conv = nn.Conv2DTranspose(half, 3, 2, 1, output_padding=1, in_channels=channels)
        self.bn = norm_layer(half, epsilon=1e-3)
        self.act = activation(act, half)

    def hybrid_forward(self, F, x):
        return self.act(self.bn(self.conv(x)))


class WeightedFusion(nn.HybridBlock):
    """DWFF: w p + (1 - w) q, one w per image and channel, made of the mean of p + q."""

    def __init__(self, channels, reduction):
        super().__init__()
        width = max(channels // reduction, 4)
        self.conv_du = sequential(conv2d(channels, width), norm_layer(width), nn.LeakyReLU(0.2))
        self.fcs = sequential(conv2d(width, channels), conv2d(width, channels))

    def hybrid_forward(self, F, p, q):
        z = self.conv_du(global_pool(F, p + q))
        w = F.sigmoid(self.fcs[0](z) - self.fcs[1](z))  # softmax over the pair
        return F.broadcast_mul(w, p) + F.broadcast_mul(1 - w, q)


class Pyramid(nn.HybridBlock):
    """MSSE: DAPPM's wiring, norm and activation behind the convolutions, both summands gated."""

    def __init__(self, channels, width, act):
        super().__init__()
        self.x0 = conv_unit(channels, width, act=act)
        pools = [*(average_pool(k, s) for k, s in POOLS), GlobalPool()]
        self.x1, self.x2, self.x3, self.x4 = (
            conv_unit(channels, width, act=act, before=pool) for pool in pools
        )
        self.p1, self.p2, self.p3, self.p4 = (conv_unit(width, width, 3, act=act) for _ in pools)
        self.tail = self._gated(5 * width, channels, act)
        self.identity = self._gated(channels, channels, act)

    @staticmethod
    def _gated(in_channels, channels, act):
        return sequential(
            norm_layer(in_channels),
            activation(act, in_channels),
            conv2d(in_channels, channels, bias=False),
            EfficientChannelAttention(channels),
        )

    def hybrid_forward(self, F, x):
        scales = (self.x0, self.x1, self.x2, self.x3, self.x4)
        processes = (self.p1, self.p2, self.p3, self.p4)
        return pooling_cascade(F, x, scales, processes, self.tail, self.identity)


def _head(channels, num_classes, act):
    """1 x 1 unit, 1 x 1 to the classes, and a norm over the scores."""
    half = channels // 2
    return sequential(
        *conv_unit(channels, half, bias=True, act=act),
        *conv_unit(half, num_classes, bias=True, act=None),
    )


@register("pmsdsen")
class PMSDSEN(SegmentationModel):
    """Main output at 1/2, auxiliaries at 1/4 (decoder) and 1/8 (encoder).

    Args:
        act: name of the activation (see ``nn/activation.py``); "prelu" learns a slope per channel.
    """

    output_names = ("main", "aux1", "aux2")
    aux_weights = (0.1, 0.1)
    align_corners = False
    size_divisor = 8
    min_batch = 2

    def __init__(self, num_classes, act="gelu"):
        super().__init__(num_classes)
        c = WIDTH
        self.DWFF4 = WeightedFusion(2 * c, reduction=8)
        self.DWFF5 = WeightedFusion(c, reduction=4)
        self.Stem_Conv = sequential(
            *conv_unit(3, c // 2, 3, 2, bias=True, act=act),
            *conv_unit(c // 2, c, 3, bias=True, act=None),
        )
        self.layer1, self.layer2, self.layer3, self.layer4, self.layer5 = (
            sequential(*(Unit(channels, act) for _ in range(depth)))
            for depth, channels in zip(DEPTHS, (c, 2 * c, 4 * c, 2 * c, c))
        )
        self.down2 = DownBlock(c, act)
        self.down3 = DownBlock(2 * c, act)
        self.up4 = UpBlock(4 * c, act)
        self.up5 = UpBlock(2 * c, act)
        self.MSSE_ = Pyramid(4 * c, 2 * c, act)
        self.seg_head_x2 = _head(c, num_classes, act)
        self.seg_head_x4 = _head(2 * c, num_classes, act)
        self.seg_head_x8 = _head(4 * c, num_classes, act)
        unbiased_variance(self)

    def logits(self, F, x):
        half = shrink_image(F, x)
        quarter = shrink_image(F, half)
        l1 = self.layer1(self.Stem_Conv(x))
        l2 = self.layer2(self.down2(l1, half))
        l3 = self.MSSE_(self.layer3(self.down3(l2, quarter)))
        l4 = self.layer4(self.DWFF4(self.up4(l3), l2))
        l5 = self.layer5(self.DWFF5(self.up5(l4), l1))
        main = self.seg_head_x2(l5)
        return self.with_heads(main, (self.seg_head_x4, l4), (self.seg_head_x8, l3))
