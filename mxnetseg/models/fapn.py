"""FaPN: a feature pyramid whose enlarged maps are aligned by deformable convolutions.

Huang et al., FaPN: Feature-aligned Pyramid Network for Dense Image Prediction, ICCV 2021; as in
MXNetSeg: the offset features are deformed and convolved together with the enlarged map (paper: only
the map), the selected lateral map is rectified, and only the finest level predicts.
"""

from mxnet.gluon import nn

from ..nn import (
    ConvUnit,
    FCNHead,
    ModulatedDeformableConv,
    global_pool,
    relu,
    resize_like,
)
from .base import SegmentationModel, register

WIDTH = 256


class FeatureSelection(nn.HybridBlock):
    """x + x * gate(mean of x), projected."""

    def __init__(self, in_channels):
        super().__init__()
        self.conv1 = ConvUnit(in_channels, in_channels, act="sigmoid")
        self.conv2 = ConvUnit(in_channels, WIDTH, norm=False)

    def hybrid_forward(self, F, x):
        return self.conv2(F.broadcast_mul(x, self.conv1(global_pool(F, x))) + x)


class FeatureAlign(nn.HybridBlock):
    """(coarse map, lateral map) -> aligned sum (N, 256, *) at the size of the lateral one."""

    def __init__(self, low_channels):
        super().__init__()
        self.fsm = FeatureSelection(low_channels)
        self.offset = ConvUnit(2 * WIDTH, WIDTH)
        self.align = ModulatedDeformableConv(2 * WIDTH, WIDTH, groups=8)

    def hybrid_forward(self, F, high, low):
        low = self.fsm(low)
        high = resize_like(F, high, low)
        offset = self.offset(F.concat(low, high, dim=1))
        return relu(F, self.align(F.concat(high, offset, dim=1))) + low


class FaPNHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> logits at the stride of c1."""

    def __init__(self, channels, num_classes):
        super().__init__()
        c1, c2, c3, c4 = channels
        self.conv = ConvUnit(c4, WIDTH)
        self.align_c3 = FeatureAlign(c3)
        self.align_c2 = FeatureAlign(c2)
        self.align_c1 = FeatureAlign(c1)
        self.seg = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        x = self.align_c3(self.conv(c4), c3)
        x = self.align_c2(x, c2)
        return self.seg(self.align_c1(x, c1))


@register("fapn")
class FaPN(SegmentationModel):
    """Aligned pyramid on c1 ... c4; auxiliary head of width 256 on c3."""

    aux_weights = (0.4,)
    min_batch = 2

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = FaPNHead(backbone.channels, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(backbone.channels[2], num_classes, width=256))

    def logits(self, F, x):
        c1, c2, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c1, c2, c3, c4), c3)
