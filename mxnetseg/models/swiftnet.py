"""SwiftNet, single scale: a light ladder decoder on a ResNet.

Orsic et al., In Defense of Pre-trained ImageNet Architectures for Real-time Semantic Segmentation
of Road-driving Images, CVPR 2019; as in MXNetSeg (SwiftResNet): decoder width 256 (paper: 128),
PSPNet's pooling, convolution -> norm -> ReLU, skip connections behind the stages' last ReLU.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, LateralFusion, PyramidPooling
from .base import SegmentationModel, register


class SwiftNetHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> logits at the stride of c1."""

    def __init__(self, channels, num_classes, width=256):
        super().__init__()
        self.ppool = PyramidPooling(channels[3])
        self.conv_c4 = ConvUnit(2 * channels[3], width)
        self.fusion_c3 = LateralFusion(channels[2], width)
        self.fusion_c2 = LateralFusion(channels[1], width)
        self.fusion_c1 = LateralFusion(channels[0], width)
        self.seg_head = FCNHead(width, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        x = self.conv_c4(self.ppool(c4))
        x = self.fusion_c3(x, c3)
        x = self.fusion_c2(x, c2)
        return self.seg_head(self.fusion_c1(x, c1))


@register("swiftnet")
class SwiftNet(SegmentationModel):
    """Ladder decoder on c1 ... c4, auxiliary head of width 256 on c3.

    Args:
        num_classes: channels of the logits.
        backbone: features c1 ... c4.
        aux: with the auxiliary head.
        width: channels of the decoder.
    """

    aux_weights = (0.4,)
    min_batch = 2
    default_backbone = "resnet18"

    def __init__(self, num_classes, backbone, aux=True, width=256):
        super().__init__(num_classes, backbone)
        self.head = SwiftNetHead(backbone.channels, num_classes, width)
        if aux:
            self.add_aux_heads(FCNHead(backbone.channels[2], num_classes, width=256))

    def logits(self, F, x):
        c1, c2, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c1, c2, c3, c4), c3)
