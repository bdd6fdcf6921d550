"""DeepLabv3: context at several scales by parallel dilated convolutions.

Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv 1706.05587, 2017;
as in MXNetSeg: no multi-grid, rates 6, 12, 18 at every output stride (paper: doubled at 8), a 3 x 3
unit behind the projection, an auxiliary head.
"""

from mxnet.gluon import nn

from ..nn import ASPP, FCNHead
from .base import SegmentationModel, register

WIDTH = 256


class DeepLabv3Head(nn.HybridBlock):
    """c4 -> logits at its stride."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.aspp = ASPP(in_channels, WIDTH)
        self.head = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c4):
        return self.head(self.aspp(c4))


@register("deeplabv3")
class DeepLabv3(SegmentationModel):
    """ASPP on c4; auxiliary head on c3."""

    aux_weights = (0.4,)
    min_batch = 2
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        _, _, c3, c4 = backbone.channels
        self.head = DeepLabv3Head(c4, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c4), c3)
