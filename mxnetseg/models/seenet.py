"""SeENet: shallow stages are enhanced by dilated branches before deep ones join them.

Pang et al., Towards Bridging Semantic Gap to Improve Semantic Segmentation, ICCV 2019; as in
MXNetSeg. There the network is tied to backbones with 256 and 1024 channels in c1 and c3; here the
widths are the backbone's.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, SemanticEnhancement, conv2d, resize_like
from .base import SegmentationModel, register

WIDTH = 128


class BoundaryAttention(nn.HybridBlock):
    """(deep map, c1) -> logits at the size of c1, which counts where the deep map says little."""

    def __init__(self, low_channels, num_classes):
        super().__init__()
        self.conv1x1 = ConvUnit(WIDTH, low_channels, act="sigmoid")
        self.fconv1x1 = ConvUnit(low_channels, WIDTH)
        self.fconv3x3 = ConvUnit(WIDTH, WIDTH, 3)
        self.cconv3x3 = ConvUnit(WIDTH, WIDTH, 3)
        self.drop = nn.Dropout(0.1)
        self.cconv1x1 = conv2d(WIDTH, num_classes)

    def hybrid_forward(self, F, high, low):
        high = resize_like(F, high, low)
        low = low * (1 - self.conv1x1(high))
        low = self.fconv3x3(self.fconv1x1(low))
        return self.cconv1x1(self.drop(self.cconv3x3(high + low)))


class SeENetHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> logits at the stride of c1."""

    def __init__(self, channels, strides, num_classes):
        super().__init__()
        c1, c2, c3, c4 = channels
        self._strides = strides
        self.seemc2 = SemanticEnhancement(c2, WIDTH, (1, 2, 4, 8))
        self.seemc3 = SemanticEnhancement(WIDTH + c3, WIDTH, (3, 6, 9, 12))
        self.seemc4 = SemanticEnhancement(WIDTH + c4, WIDTH, (7, 13, 19, 25), full=True)
        self.bam = BoundaryAttention(c1, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4):
        _, stride2, stride3, stride4 = self._strides
        x = self.seemc2(c2)
        if stride2 != stride3:
            x = resize_like(F, x, c3)
        x = self.seemc3(F.concat(x, c3, dim=1))
        if stride3 != stride4:
            x = resize_like(F, x, c4)
        x = self.seemc4(F.concat(x, c4, dim=1))
        return self.bam(x, c1)


@register("seenet")
class SeENet(SegmentationModel):
    """Enhanced c2 ... c4, boundary attention on c1; auxiliary head of width 256 on c3."""

    aux_weights = (0.4,)
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = SeENetHead(backbone.channels, backbone.strides, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(backbone.channels[2], num_classes, width=256))

    def logits(self, F, x):
        c1, c2, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c1, c2, c3, c4), c3)
