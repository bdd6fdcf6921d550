"""FCN: a dilated backbone with one 3 x 3 head, the baseline of all others.

Long, Shelhamer, Darrell, Fully Convolutional Networks for Semantic Segmentation, CVPR 2015; as in
MXNetSeg (FCNResNet, FCNMobileNet), without skip connections.
"""

from ..nn import FCNHead
from .base import SegmentationModel, register


@register("fcn")
class FCN(SegmentationModel):
    """Head on c4, auxiliary head on c3.

    The intermediate width of a head is 256, or its input's channels where those are fewer.
    """

    aux_weights = (0.4,)
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = FCNHead(backbone.channels[3], num_classes)
        if aux:
            self.add_aux_heads(FCNHead(backbone.channels[2], num_classes))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c4), c3)
