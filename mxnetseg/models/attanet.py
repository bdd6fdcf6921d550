"""AttaNet: two stages fused by channel weights, global context from vertically averaged strips.

Song et al., AttaNet: Attention-Augmented Network for Fast and Accurate Scene Parsing, AAAI 2021; as
in MXNetSeg: c3 and c4 only, prediction at the stride of c3.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, concat, global_pool, resize_like
from ..nn.attention import flatten_positions
from .base import SegmentationModel, register

WIDTH = 128


class AttentionFusion(nn.HybridBlock):
    """(c3, c4) -> (N, 128, *) at the size of c3, each weighted per channel: a and 1 - a."""

    def __init__(self, low_channels, high_channels):
        super().__init__()
        self._channels = (high_channels, WIDTH)
        self.conv3x3_high = ConvUnit(high_channels, WIDTH, 3)
        self.conv3x3_low = ConvUnit(low_channels, WIDTH, 3)
        self.conv1x1_1 = ConvUnit(high_channels + WIDTH, WIDTH)
        self.conv1x1_2 = ConvUnit(WIDTH, WIDTH, act="sigmoid")

    def hybrid_forward(self, F, c3, c4):
        low = self.conv3x3_low(c3)
        both = concat(F, [resize_like(F, c4, low), low], self._channels)
        weight = self.conv1x1_2(global_pool(F, self.conv1x1_1(both)))
        high = F.broadcast_mul(self.conv3x3_high(c4), weight)
        return resize_like(F, high, low) + F.broadcast_mul(low, 1 - weight)


class StripAttention(nn.HybridBlock):
    """x + values of the columns' means, averaged by attention: memory (HW, W), not (HW, HW)."""

    def __init__(self, channels):
        super().__init__()
        self.query_conv = ConvUnit(channels, channels // 2)
        self.key_conv = ConvUnit(channels, channels // 2)
        self.value_conv = ConvUnit(channels, channels)

    def hybrid_forward(self, F, x):
        query = flatten_positions(F, self.query_conv(x))
        key = F.mean(self.key_conv(x), axis=2)
        value = F.mean(self.value_conv(x), axis=2)
        weights = F.softmax(F.batch_dot(query, key, transpose_a=True), axis=-1)
        return F.reshape_like(F.batch_dot(value, weights, transpose_b=True), x) + x


class AttaNetHead(nn.HybridBlock):
    """(c3, c4) -> logits at the stride of c3."""

    def __init__(self, low_channels, high_channels, num_classes):
        super().__init__()
        self.afm = AttentionFusion(low_channels, high_channels)
        self.conv3x3 = ConvUnit(WIDTH, WIDTH, 3)
        self.sam = StripAttention(WIDTH)
        self.seg = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c3, c4):
        return self.seg(self.sam(self.conv3x3(self.afm(c3, c4))))


@register("attanet")
class AttaNet(SegmentationModel):
    """Fusion and strip attention on c3 and c4; auxiliary head on c3."""

    aux_weights = (0.4,)
    min_batch = 2
    default_backbone = "resnet18"

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        _, _, c3, c4 = backbone.channels
        self.head = AttaNetHead(c3, c4, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c3, c4), c3)
