"""DeepLabv3+: DeepLabv3 with a decoder that sharpens boundaries.

Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation,
ECCV 2018; as in MXNetSeg (DeepLabv3PlusX on Xception-65, DeepLabv3PlusR on ResNet): a 3 x 3
projection of the fine map, ordinary instead of separable convolutions, rates 12, 24, 36 at every
output stride, no auxiliary head.
"""

from mxnet.gluon import nn

from ..nn import ASPP, ConvUnit, FCNHead, resize_like
from .base import SegmentationModel, register

WIDTH = 256
LOW_WIDTH = 48


class DeepLabv3PlusHead(nn.HybridBlock):
    """(c1, c4) -> logits at the stride of c1."""

    def __init__(self, low_channels, high_channels, num_classes):
        super().__init__()
        self.conv_c1 = ConvUnit(low_channels, LOW_WIDTH, 3)
        self.aspp = ASPP(high_channels, WIDTH, rates=(12, 24, 36))
        self.conv3x3 = ConvUnit(LOW_WIDTH + WIDTH, WIDTH, 3)
        self.drop = nn.Dropout(0.5)
        self.head = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c1, c4):
        low = self.conv_c1(c1)
        high = resize_like(F, self.aspp(c4), low)
        return self.head(self.drop(self.conv3x3(F.concat(low, high, dim=1))))


@register("deeplabv3plus")
class DeepLabv3Plus(SegmentationModel):
    """ASPP on c4, joined to c1."""

    min_batch = 2
    default_output_stride = 8

    def __init__(self, num_classes, backbone):
        super().__init__(num_classes, backbone)
        self.head = DeepLabv3PlusHead(backbone.channels[0], backbone.channels[3], num_classes)

    def logits(self, F, x):
        c1, _, _, c4 = self.backbone(x)
        return (self.head(c1, c4),)
