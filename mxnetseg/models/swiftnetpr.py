"""SwiftNet with an interleaved pyramid: one backbone on the image and on its half-size copy.

Orsic et al., In Defense of Pre-trained ImageNet Architectures for Real-time Semantic Segmentation
of Road-driving Images, CVPR 2019; as in MXNetSeg (SwiftResNetPr): two levels, maps of equal size
joined before one 1 x 1, no pyramid pooling, convolution -> norm -> ReLU. In training the running
statistics of the shared norms are updated twice a step, by the full-size pass first.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, LateralFusion, concat, resize_to_stride
from .base import SegmentationModel, register

WIDTH = 128


class PyramidHead(nn.HybridBlock):
    """Maps of the image (c1 ... c4) and of its half-size copy (h1 ... h4) -> logits at stride 4."""

    def __init__(self, channels, num_classes):
        super().__init__()
        self._channels = channels
        c1, c2, c3, c4 = channels
        self.conv1x1 = ConvUnit(c4, WIDTH)
        self.fusion_32x = LateralFusion(c3 + c4, WIDTH)
        self.fusion_16x = LateralFusion(c2 + c3, WIDTH)
        self.fusion_8x = LateralFusion(c1 + c2, WIDTH)
        self.final = LateralFusion(c1, WIDTH)
        self.seg_head = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c1, c2, c3, c4, h1, h2, h3, h4):
        x = self.conv1x1(h4)
        x = self.fusion_32x(x, concat(F, [h3, c4], self._channels[2:]))
        x = self.fusion_16x(x, concat(F, [h2, c3], self._channels[1:3]))
        x = self.fusion_8x(x, concat(F, [h1, c2], self._channels[:2]))
        return self.seg_head(self.final(x, c1))


@register("swiftnetpr")
class SwiftNetPR(SegmentationModel):
    """Takes even sizes, so that a stage of the half-size copy is as large as the image's next.

    The auxiliary head, a 1 x 1 unit and the classifier, is on c3 of the image.
    """

    aux_weights = (0.4,)
    size_divisor = 2
    default_backbone = "resnet18"
    output_strides = (32,)

    def __init__(self, num_classes, backbone, aux=False):
        super().__init__(num_classes, backbone)
        self.min_size = 2 * backbone.min_size
        if not backbone.rounds_up:
            self.size_divisor = 32
        c3 = backbone.channels[2]
        self.head = PyramidHead(backbone.channels, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes, dropout=0, kernel=1))

    def logits(self, F, x):
        maps = self.backbone(x)
        half = resize_to_stride(F, x, x, 2)
        return self.with_aux(self.head(*maps, *self.backbone(half)), maps[2])
