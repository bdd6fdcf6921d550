"""PSPNet: global context by pooling at four scales.

Zhao et al., Pyramid Scene Parsing Network, CVPR 2017; as in MXNetSeg: the classifier's 3 x 3 unit
is 256 wide (paper: 512).
"""

from mxnet.gluon import nn

from ..nn import FCNHead, PyramidPooling
from .base import SegmentationModel, register


class PSPNetHead(nn.HybridBlock):
    """c4 -> logits at its stride."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.pool = PyramidPooling(in_channels)
        self.seg_head = FCNHead(2 * in_channels, num_classes)

    def hybrid_forward(self, F, c4):
        return self.seg_head(self.pool(c4))


@register("pspnet")
class PSPNet(SegmentationModel):
    """Pyramid pooling of c4; auxiliary head on c3."""

    aux_weights = (0.4,)
    min_batch = 2
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        _, _, c3, c4 = backbone.channels
        self.head = PSPNetHead(c4, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c4), c3)
