"""BiSeNet: a shallow spatial path for detail beside a deep context path.

Yu et al., BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation, ECCV 2018;
as in MXNetSeg (BiSeNetR on ResNet, BiSeNetX on Xception-39): the context maps go straight to
stride 8 and are summed once.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, GlobalFlow, global_pool, resize_like
from .base import SegmentationModel, register

WIDTH = 128


class SpatialPath(nn.HybridBlock):
    """Images -> (N, 128, H/8, W/8)."""

    def __init__(self):
        super().__init__()
        self.conv7x7 = ConvUnit(3, 64, 7, stride=2)
        self.conv3x3_1 = ConvUnit(64, 64, 3, stride=2)
        self.conv3x3_2 = ConvUnit(64, 64, 3, stride=2)
        self.conv1x1 = ConvUnit(64, WIDTH)

    def hybrid_forward(self, F, x):
        return self.conv1x1(self.conv3x3_2(self.conv3x3_1(self.conv7x7(x))))


class AttentionRefinement(nn.HybridBlock):
    """3 x 3 unit, its channels weighted by a gate on their mean."""

    def __init__(self, in_channels, channels=WIDTH):
        super().__init__()
        self.conv3x3 = ConvUnit(in_channels, channels, 3)
        self.conv1x1 = ConvUnit(channels, channels, act="sigmoid")

    def hybrid_forward(self, F, x):
        x = self.conv3x3(x)
        return F.broadcast_mul(x, self.conv1x1(global_pool(F, x)))


class FeatureFusion(nn.HybridBlock):
    """y + y * gate(mean of y), y a 1 x 1 unit over both paths."""

    def __init__(self, channels):
        super().__init__()
        self.proj = ConvUnit(channels, channels)
        self.conv1x1_1 = ConvUnit(channels, channels)
        self.conv1x1_2 = ConvUnit(channels, channels, act="sigmoid")

    def hybrid_forward(self, F, x):
        x = self.proj(x)
        gate = self.conv1x1_2(self.conv1x1_1(global_pool(F, x)))
        return F.broadcast_mul(x, gate) + x


class BiSeNetHead(nn.HybridBlock):
    """(image, c3, c4) -> logits at stride 8."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.spatial_path = SpatialPath()
        self.global_flow = GlobalFlow(channels[3], WIDTH)
        self.refine_c4 = AttentionRefinement(channels[3])
        self.refine_c3 = AttentionRefinement(channels[2])
        self.proj = ConvUnit(WIDTH, WIDTH, 3)
        self.fusion = FeatureFusion(2 * WIDTH)
        self.seg = FCNHead(2 * WIDTH, num_classes, dropout=0)

    def hybrid_forward(self, F, x, c3, c4):
        spatial = self.spatial_path(x)
        context = (
            resize_like(F, self.global_flow(c4), spatial)
            + resize_like(F, self.refine_c4(c4), spatial)
            + resize_like(F, self.refine_c3(c3), spatial)
        )
        return self.seg(self.fusion(F.concat(spatial, self.proj(context), dim=1)))


@register("bisenet")
class BiSeNet(SegmentationModel):
    """Auxiliary heads of width 256 on c4 and c3, in this order; loss weights 1 as in the paper."""

    aux_weights = (1.0, 1.0)
    min_batch = 2
    default_backbone = "resnet18"

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        _, _, c3, c4 = backbone.channels
        self.head = BiSeNetHead(backbone.channels, num_classes)
        if aux:
            self.add_aux_heads(*(FCNHead(c, num_classes, width=256) for c in (c4, c3)))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(x, c3, c4), c4, c3)
