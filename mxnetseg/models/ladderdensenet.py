"""LadderDenseNet: a memory-lean dense backbone with a slim ladder decoder.

Kreso et al., Ladder-Style DenseNets for Semantic Segmentation of Large Natural Images, ICCV
Workshops 2017; as in MXNetSeg: a plain DenseNet (no split block), convolution -> norm -> ReLU in
the decoder, one auxiliary head, on the reduced deepest map.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, LateralFusion
from .base import SegmentationModel, register

WIDTH = 128


class LadderHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> (logits at the stride of c1, c4 reduced to 128 channels)."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self.conv_c4 = ConvUnit(channels[3], WIDTH)
        self.fusion_c3 = LateralFusion(channels[2], WIDTH)
        self.fusion_c2 = LateralFusion(channels[1], WIDTH)
        self.fusion_c1 = LateralFusion(channels[0], WIDTH)
        self.seg_head = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        reduced = self.conv_c4(c4)
        x = self.fusion_c3(reduced, c3)
        x = self.fusion_c2(x, c2)
        return self.seg_head(self.fusion_c1(x, c1)), reduced


@register("ladderdensenet")
class LadderDenseNet(SegmentationModel):
    """Ladder decoder on c1 ... c4; auxiliary head on the reduced c4."""

    aux_weights = (0.4,)
    default_backbone = "densenet121"

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = LadderHead(backbone.channels, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(WIDTH, num_classes))

    def logits(self, F, x):
        main, reduced = self.head(*self.backbone(x))
        return self.with_aux(main, reduced)
