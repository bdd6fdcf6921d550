"""CANet v2: parallel encoder-decoders of growing depth, gated per pixel.

Tang et al., Compensating for Local Ambiguity With Encoder-Decoder in Urban Scene Segmentation, IEEE
Transactions on Intelligent Transportation Systems 2022; as in MXNetSeg, the authors' own code.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, GlobalFlow, resize_like, sequential
from .base import SegmentationModel, register

WIDTH = 512


class StridedBlock(nn.HybridBlock):
    """Bottleneck at stride 2: a rectified path plus a bare shortcut, nothing behind the sum."""

    def __init__(self):
        super().__init__()
        self.conv1 = ConvUnit(WIDTH, WIDTH // 4)
        self.conv2 = ConvUnit(WIDTH // 4, WIDTH // 4, 3, stride=2)
        self.conv3 = ConvUnit(WIDTH // 4, WIDTH)
        self.conv4 = ConvUnit(WIDTH, WIDTH, stride=2, act=None)

    def hybrid_forward(self, F, x):
        return self.conv3(self.conv2(self.conv1(x))) + self.conv4(x)


class EncoderDecoder(nn.HybridBlock):
    """``depth`` strided blocks, a 3 x 3 unit, back to the input's size."""

    def __init__(self, depth):
        super().__init__()
        self.encoder = sequential(*(StridedBlock() for _ in range(depth)))
        self.conv3x3 = ConvUnit(WIDTH, WIDTH, 3)
        self.conv1x1 = ConvUnit(WIDTH, WIDTH)

    def hybrid_forward(self, F, x):
        return self.conv1x1(resize_like(F, self.conv3x3(self.encoder(x)), x))


class CANetHead(nn.HybridBlock):
    """(c3, c4) -> logits at the stride of c4."""

    def __init__(self, low_channels, in_channels, same_size, num_classes):
        super().__init__()
        self._same_size = same_size
        self.comp_c4 = ConvUnit(in_channels, WIDTH)
        self.comp_c3 = ConvUnit(low_channels, WIDTH)
        self.gap = GlobalFlow(in_channels, 48)
        self.ed1, self.ed2, self.ed3 = (EncoderDecoder(depth) for depth in (1, 2, 3))
        self.conv1 = ConvUnit(4 * WIDTH, WIDTH)
        self.conv2 = ConvUnit(WIDTH, 4, act=None)
        self.seg = FCNHead(WIDTH + 48, num_classes)

    def hybrid_forward(self, F, c3, c4):
        x, low = self.comp_c4(c4), self.comp_c3(c3)
        if not self._same_size:
            low = resize_like(F, low, x)
        maps = [self.ed1(x), self.ed2(x), self.ed3(x), low]
        gates = F.softmax(self.conv2(self.conv1(F.concat(*maps, dim=1))), axis=1)
        gates = F.split(gates, num_outputs=4, axis=1)
        fused = F.broadcast_mul(maps[0], gates[0])
        for k in (1, 2, 3):
            fused = fused + F.broadcast_mul(maps[k], gates[k])
        return self.seg(F.concat(fused, self.gap(c4), dim=1))


@register("canetv2")
class CANetV2(SegmentationModel):
    """Gated context on c4 and c3; auxiliary head on c3.

    MXNetSeg's fails unless c3 and c4 have one size (output stride 8); here c3 is resized to c4.
    """

    aux_weights = (0.4,)
    min_batch = 2
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        _, _, c3, c4 = backbone.channels
        same_size = backbone.strides[2] == backbone.strides[3]
        self.head = CANetHead(c3, c4, same_size, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c3, c4), c3)
