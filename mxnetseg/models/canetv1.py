"""CANet v1: context from a chain of shallow encoder-decoders at growing scales.

Tang et al., Attention-guided Chained Context Aggregation for Semantic Segmentation, Image and
Vision Computing 2021; as in MXNetSeg, the authors' own code. There all inner sizes are constants of
the instance; here they come from the input, and the widths from the backbone.
"""

from mxnet.gluon import nn

from ..nn import (
    ConvUnit,
    FCNHead,
    GlobalFlow,
    SeparableConv,
    concat,
    global_pool,
    numbered,
    pool_by,
    resize_like,
)
from .base import SegmentationModel, register

WIDTH = 512
SCALES = (2, 4, 8, 16)


class ContextFlow(nn.HybridBlock):
    """(c4, the flow before) -> two separable convolutions at 1 / scale of their size."""

    def __init__(self, in_channels, scale):
        super().__init__()
        self._scale = scale
        self._channels = (in_channels, WIDTH)
        self.conv1 = SeparableConv(in_channels + WIDTH, WIDTH)
        self.conv2 = SeparableConv(WIDTH, WIDTH)

    def hybrid_forward(self, F, x, before):
        y = pool_by(F, concat(F, [x, before], self._channels), self._scale)
        return resize_like(F, self.conv2(self.conv1(y)), x)


class FeatureSelection(nn.HybridBlock):
    """x + x * gate(mean of x), x a 3 x 3 unit over the input: the paper's attention."""

    def __init__(self, in_channels, channels):
        super().__init__()
        self.conv3x3 = ConvUnit(in_channels, channels, 3)
        self.conv1x1 = ConvUnit(channels, channels, act="sigmoid")

    def hybrid_forward(self, F, x):
        x = self.conv3x3(x)
        return F.broadcast_mul(x, self.conv1x1(global_pool(F, x))) + x


class CANetHead(nn.HybridBlock):
    """(c1, c4) -> logits at the stride of c1."""

    def __init__(self, low_channels, in_channels, num_classes, attention):
        super().__init__()
        self.gp = GlobalFlow(in_channels, WIDTH)
        flows = (ContextFlow(in_channels, scale) for scale in SCALES)
        self._flows = numbered(self, "cp", flows)
        self.selection = FeatureSelection(WIDTH, 256) if attention else None
        self.proj = None if attention else ConvUnit(WIDTH, 256, 3)
        self.drop = nn.Dropout(0.1)
        self.decoder = ConvUnit(low_channels, 48, 3)
        self.conv3x3 = ConvUnit(256 + 48, 256, 3)
        self.seg_head = FCNHead(256, num_classes)

    def hybrid_forward(self, F, c1, c4):
        flow = total = self.gp(c4)
        for context in self._flows:
            flow = context(c4, flow)
            total = total + flow
        x = self.proj(total) if self.selection is None else self.selection(total)
        x = resize_like(F, self.drop(x), c1)
        return self.seg_head(self.conv3x3(F.concat(x, self.decoder(c1), dim=1)))


@register("canetv1")
class CANetV1(SegmentationModel):
    """Chained context flows on c4, decoder on c1; auxiliary head of width 256 on c3.

    The coarsest flow pools c4 by 16: it needs 16 rows and columns.

    Args:
        attention: the paper's feature selection instead of the plain 3 x 3 projection behind the
            flows. MXNetSeg holds it, but no option of the network reaches it.
    """

    aux_weights = (0.4,)
    min_batch = 2
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True, attention=False):
        super().__init__(num_classes, backbone)
        c1, _, c3, c4 = backbone.channels
        self.min_size = SCALES[-1] * backbone.output_stride
        self.head = CANetHead(c1, c4, num_classes, attention)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes, width=256))

    def logits(self, F, x):
        c1, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c1, c4), c3)
