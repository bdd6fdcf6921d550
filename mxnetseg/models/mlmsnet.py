"""MLMSNet: multi-scale fusion of three levels at stride 8, on MobileNetV3.

Lightweight Multi-Level Multi-Scale Feature Fusion Network for Semantic Segmentation, 2021, as in
lih627/MLMSNet: the network (MLMSNet), its lighter second version (MLMSNetv2) and the baseline.
L2, L3, L4 are c2, c3, c4 of the backbone.
"""

from mxnet.gluon import nn

from ..backbones.mobilenetv3 import round_channels
from ..errors import UsageError
from ..nn import (
    Activation,
    ConvUnit,
    concat,
    conv2d,
    conv_unit,
    global_pool,
    norm_layer,
    numbered,
    resize_like,
    resize_to_stride,
    sequential,
    sequential_head,
    unbiased_variance,
)
from ..registry import unknown
from .base import SegmentationModel, register

RATES = (6, 12, 18)
VARIANTS = {"S": 1, "L": 2}  # factor on the channels behind the multi-scale fusion
ZOOM_FACTORS = (1, 2, 4, 8)


class AtrousUnit(nn.HybridBlock):
    """3 x 3 convolution of some rate, norm, ReLU."""

    def __init__(self, channels, rate):
        super().__init__()
        self.atrous_conv = conv2d(channels, channels, 3, dilation=rate, bias=False)
        self.bn = norm_layer(channels)
        self.relu = nn.Activation("relu")

    def hybrid_forward(self, F, x):
        return self.relu(self.bn(self.atrous_conv(x)))


class LightAtrousUnit(nn.HybridBlock):
    """The same made of a depthwise and a pointwise convolution (v2)."""

    def __init__(self, channels, rate):
        super().__init__()
        self.conv = sequential(
            *conv_unit(channels, channels, 3, dilation=rate, groups=channels, act="hard_swish"),
            *conv_unit(channels, channels),
        )

    def hybrid_forward(self, F, x):
        return self.conv(x)


class LightGate(nn.HybridBlock):
    """(N, C, 1, 1) -> gate (N, C, 1, 1) by way of a quarter of the channels, no biases (v2)."""

    def __init__(self, channels):
        super().__init__()
        squeezed = round_channels(channels // 4)
        self.fc = sequential(
            conv2d(channels, squeezed, bias=False),
            nn.Activation("relu"),
            conv2d(squeezed, channels, bias=False),
            Activation("hard_sigmoid"),
        )

    def hybrid_forward(self, F, x):
        return self.fc(x)


class _Fusion(nn.HybridBlock):
    """What both fusions share: a gate per channel, and the 1 x 1 unit behind it."""

    def __init__(self, channels, out_channels, light):
        super().__init__()
        self.atten = LightGate(channels) if light else conv2d(channels, channels, bias=False)
        self.bn_atten = None if light else norm_layer(channels)
        self.fuse = ConvUnit(channels, out_channels)

    def gated(self, F, x):
        gate = self.atten(global_pool(F, x))
        if self.bn_atten is not None:
            gate = F.sigmoid(self.bn_atten(gate))
        return F.broadcast_mul(x, gate)


class MultiScaleFusion(_Fusion):
    """MSF: the map and three dilated copies of it, gated and joined."""

    def __init__(self, channels, out_channels, light):
        super().__init__(4 * channels, out_channels, light)
        unit = LightAtrousUnit if light else AtrousUnit
        self.blocks = sequential(*(unit(channels, rate) for rate in RATES))

    def hybrid_forward(self, F, x):
        x = F.concat(x, *(block(x) for block in self.blocks), dim=1)
        return self.fuse(self.gated(F, x))


class MultiLevelFusion(_Fusion):
    """MLF: x + gated x, joined."""

    def __init__(self, channels, light):
        super().__init__(channels, channels, light)

    def hybrid_forward(self, F, x):
        return self.fuse(x + self.gated(F, x))


class _MLMS(SegmentationModel):
    """What the three networks share: an encoder at stride 8 and the resolution of the logits.

    ``zoom_factor`` is the original's: the network itself enlarges its logits to stride
    8 / zoom_factor, before the base class does the rest. At 8 there is nothing left to do first.
    """

    default_backbone = "mobilenetv3_large"
    default_output_stride = 8

    def __init__(self, num_classes, backbone, zoom_factor):
        super().__init__(num_classes, backbone)
        if zoom_factor not in ZOOM_FACTORS:
            raise UsageError(f"zoom_factor must be 1, 2, 4 or 8, not {zoom_factor}.")
        self._zoom_factor = zoom_factor

    def zoom(self, F, outputs, x):
        """The ``outputs`` at the resolution that ``zoom_factor`` asks for; ``x`` the images."""
        if self._zoom_factor in (1, 8):
            return outputs
        return tuple(resize_to_stride(F, y, x, 8 // self._zoom_factor) for y in outputs)

    def levels(self, F, maps):
        """Maps at the size of the first; with the backbones that end at stride 8 they have it."""
        first, *others = maps
        if self.backbone.strides[1] != self.backbone.strides[3]:
            others = [resize_like(F, y, first) for y in others]
        return [first, *others]


@register("mlms_baseline")
class MLMSBaseline(_MLMS):
    """The encoder, a 3 x 3 unit, a 1 x 1 to the classes; auxiliary head on L3.

    The dilated baseline has the ``backbone_options`` atrous3 and atrous4.

    Args:
        zoom_factor: 1, 2, 4 or 8: the network's own logits are at stride 8 / zoom_factor.
        dropout: of whole channels, in the heads.
    """

    aux_weights = (0.4,)

    def __init__(self, num_classes, backbone, aux=True, zoom_factor=8, dropout=0.1):
        super().__init__(num_classes, backbone, zoom_factor)
        _, _, c3, c4 = backbone.channels
        self.cls = sequential_head(c4, 128, num_classes, dropout)
        self.aux = sequential_head(c3, 64, num_classes, dropout) if aux else None
        self.output_names = ("main", "aux") if aux else ("main",)
        unbiased_variance(self)

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.zoom(F, self.with_heads(self.cls(c4), (self.aux, c3)), x)


class _MLMSNet(_MLMS):
    """Both versions: MSF on each level, MLF over all of them."""

    def __init__(self, num_classes, backbone, variant, msf, mlf, zoom_factor, light):
        super().__init__(num_classes, backbone, zoom_factor)
        if str(variant).upper() not in VARIANTS:
            raise unknown("variant of MLMSNet", variant, VARIANTS)
        self.factor = VARIANTS[str(variant).upper()]
        if self.factor != 1 and not msf:
            raise UsageError("MLMSNet without msf is variant S: it is msf that widens the maps.")
        levels = backbone.channels[1:]
        self.fused_channels = self.factor * sum(levels)
        fusions = (MultiScaleFusion(c, self.factor * c, light) for c in levels if msf)
        self._msf = numbered(self, "msf", fusions, first=0)
        self.mlf = MultiLevelFusion(self.fused_channels, light) if mlf else None

    def fused(self, F, maps):
        """L2, L3, L4 -> one map of ``fused_channels`` channels."""
        if self._msf:
            maps = [fusion(y) for fusion, y in zip(self._msf, maps)]
        channels = [self.factor * c for c in self.backbone.channels[1:]]
        y = concat(F, self.levels(F, maps), channels)
        return y if self.mlf is None else self.mlf(y)


@register("mlmsnet")
class MLMSNet(_MLMSNet):
    """First version, auxiliary head on L3.

    Args:
        variant: "S", or "L" with twice the channels behind the multi-scale fusion.
        msf, mlf: whether there are the multi-scale and the multi-level fusion.
        zoom_factor: 1, 2, 4 or 8: the network's own logits are at stride 8 / zoom_factor.
        dropout: of whole channels, in the heads.
    """

    aux_weights = (0.0,)  # as in the published configurations: the head only decays
    untrained = ("aux.0.weight", "aux.1.gamma", "aux.1.beta", "aux.4.weight", "aux.4.bias")
    min_batch = 2

    def __init__(
        self,
        num_classes,
        backbone,
        variant="S",
        aux=True,
        msf=True,
        mlf=True,
        zoom_factor=8,
        dropout=0.1,
    ):
        super().__init__(num_classes, backbone, variant, msf, mlf, zoom_factor, light=False)
        self.cls = sequential_head(self.fused_channels, 128 * self.factor, num_classes, dropout)
        self.aux = sequential_head(backbone.channels[2], 64, num_classes, dropout) if aux else None
        self.output_names = ("main", "aux") if aux else ("main",)
        unbiased_variance(self)

    def logits(self, F, x):
        _, c2, c3, c4 = self.backbone(x)
        main = self.cls(self.fused(F, (c2, c3, c4)))
        return self.zoom(F, self.with_heads(main, (self.aux, c3)), x)


@register("mlmsnet_v2")
class MLMSNetV2(_MLMSNet):
    """Second version: separable convolutions, squeezed gates, a bare 1 x 1 head, no auxiliary.

    Args: see :class:`MLMSNet`.
    """

    def __init__(
        self, num_classes, backbone, variant="S", msf=True, mlf=True, zoom_factor=8, dropout=0.1
    ):
        super().__init__(num_classes, backbone, variant, msf, mlf, zoom_factor, light=True)
        self.cls = sequential(
            nn.Dropout(dropout, axes=(2, 3)), conv2d(self.fused_channels, num_classes)
        )
        unbiased_variance(self)

    def logits(self, F, x):
        _, c2, c3, c4 = self.backbone(x)
        return self.zoom(F, (self.cls(self.fused(F, (c2, c3, c4))),), x)
