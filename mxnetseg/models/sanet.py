"""SANet: one encoder down to 1/64, assisted by a dilated path that stays at 1/8.

Wang et al., Spatial-Assistant Encoder-Decoder Network for Real Time Semantic Segmentation, 2023;
as in CuZaoo/SANet-main. Stages end without ReLU (see ``nn/residual.py``): sums take the raw maps,
convolutions the activated ones.
"""

from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import (
    APPPM,
    Bottleneck,
    PreActHead,
    basic_stage,
    conv2d,
    conv_unit,
    relu,
    resize_like,
    sequential,
    unbiased_variance,
)
from ..registry import unknown
from .base import SegmentationModel, register

# variant: (blocks of layers 1, 2 and 3, 4, 5; dilations of the first and of the second path)
VARIANTS = {
    "S": ((2, 2, 2, 2), (1, 2, 5), (7, 13)),
    "M": ((3, 3, 9, 3), (1, 2, 5), (7, 13)),
    "L": ((3, 3, 27, 3), (1, 2, 5, 7, 13), (1, 2, 5, 7, 13)),
}


class DilatedPath(nn.HybridBlock):
    """3 x 3 units of growing dilation; a biased 1 x 1 before them where the channels change."""

    def __init__(self, in_channels, channels, dilations):
        super().__init__()
        self.hconv = conv2d(in_channels, channels) if in_channels != channels else None
        self.conv = sequential(*(conv_unit(channels, channels, 3, dilation=d) for d in dilations))

    def hybrid_forward(self, F, x):
        return self.conv(x if self.hconv is None else self.hconv(x))


class Decoder(nn.HybridBlock):
    """SAD: weighs the detail against the context by two one-dimensional convolutions.

    d (sum of the path's maps) makes the weights A in (0, 2) of e (detail) and y (pyramid); the
    result is conv(e (1 + A) + y (2 - A)), at the size of e.
    """

    def __init__(self, in_channels, channels):
        super().__init__()
        self.conv_H = conv2d(in_channels, in_channels, (1, 3), bias=False)
        self.conv_W = conv2d(in_channels, in_channels, (3, 1), bias=False)
        self.conv_out = conv2d(in_channels, channels, bias=False)

    def hybrid_forward(self, F, d, e, y):
        y = resize_like(F, relu(F, y), e, align_corners=False)
        weight = F.sigmoid(self.conv_H(d)) + F.sigmoid(self.conv_W(d))
        return self.conv_out(e * (1 + weight) + y * (2 - weight))


@register("sanet")
class SANet(SegmentationModel):
    """Main output at 1/8; auxiliary classes at 1/16 and boundary (one channel) at 1/8.

    Args:
        variant: "S", "M" or "L".
        aux: whether there are the auxiliary and the boundary head.
        layers: blocks of (layer 1, layers 2 and 3, layer 4, layer 5); by default the variant's.
        planes, spp_planes, head_planes: width of the stem, of a pyramid branch, inside the heads.
    """

    aux_weights = (0.4, 20.0)
    size_divisor = 8
    min_batch = 2

    def __init__(
        self,
        num_classes,
        variant="S",
        aux=True,
        layers=None,
        planes=32,
        spp_planes=128,
        head_planes=64,
    ):
        super().__init__(num_classes)
        if str(variant).upper() not in VARIANTS:
            raise unknown("variant of SANet", variant, VARIANTS)
        depths, first_path, second_path = VARIANTS[str(variant).upper()]
        n0, n1, n2, n3 = _four(layers or depths)
        c = planes
        self._half = 2 * c
        self.stom = sequential(  # the stem, as published checkpoints spell it
            *conv_unit(3, c, 3, 2, bias=True), *conv_unit(c, c, 3, 2, bias=True)
        )
        self.layer1 = basic_stage(c, c, n0)
        self.layer2 = basic_stage(c, 2 * c, n1, stride=2)
        self.layer3 = basic_stage(2 * c, 4 * c, n1)
        self.layer4 = basic_stage(2 * c, 4 * c, n2, stride=2)
        self.layer5 = basic_stage(4 * c, 8 * c, n3, stride=2)
        self.layer6 = sequential(Bottleneck(8 * c, 8 * c, stride=2))
        self.spp = APPPM(16 * c, spp_planes, 4 * c)
        self.dp1 = DilatedPath(2 * c, 4 * c, first_path)
        self.dp2 = DilatedPath(4 * c, 4 * c, second_path)
        self.down4 = conv_unit(4 * c, 4 * c, 3, 2, act=None)
        self.down5 = sequential(
            *conv_unit(4 * c, 4 * c, 3, 2), *conv_unit(4 * c, 8 * c, 3, 2, act=None)
        )
        self.compression = conv_unit(8 * c, 4 * c, act=None)
        self.decoder = Decoder(4 * c, 2 * c)
        self.final_layer = PreActHead(2 * c, head_planes, num_classes)
        self.seghead_extra = self.seghead_d = None
        if aux:
            self.output_names = ("main", "aux", "boundary")
            self.seghead_extra = PreActHead(4 * c, head_planes, num_classes)
            self.seghead_d = PreActHead(4 * c, c, 1)
        unbiased_variance(self)

    def logits(self, F, x):
        x = relu(F, self.layer1(self.stom(x)))
        x3 = self.layer3(relu(F, self.layer2(x)))
        detail, context = F.split(relu(F, x3), num_outputs=2, axis=1)
        path = self.dp1(detail)
        x4 = self.layer4(context)
        e1 = x3 + path + resize_like(F, relu(F, x4), x3, align_corners=False)
        x5 = self.layer5(relu(F, x4 + self.down4(path)))
        e2 = self.dp2(e1)
        x5 = relu(F, x5 + self.down5(relu(F, e2)))
        e3 = e2 + resize_like(F, self.compression(x5), e2, align_corners=False)
        y = self.spp(relu(F, self.layer6(x5)))
        main = self.final_layer(self.decoder(e1 + e2, e3, y))
        return self.with_heads(main, (self.seghead_extra, x4), (self.seghead_d, e3))


def _four(layers):
    layers = tuple(layers)
    if len(layers) != 4 or not all(isinstance(n, int) and n > 0 for n in layers):
        raise UsageError(f"layers of SANet are four positive numbers of blocks, not {layers}.")
    return layers
