"""DenseASPP: dilated convolutions in a cascade, each of which sees all before it.

Yang et al., DenseASPP for Semantic Segmentation in Street Scenes, CVPR 2018; as in MXNetSeg:
convolution -> norm -> ReLU, no transition before the first dilated unit, the newest maps at the end
of the concatenation, a projection and a 3 x 3 head behind it, an auxiliary head.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, concat, numbered
from .base import SegmentationModel, register

WIDTH = 256
RATES = (3, 6, 12, 18, 24)


class DensePyramid(nn.HybridBlock):
    """(N, C, H, W) -> (N, 256, H, W). Transitions have C / 2 channels, dilated units C / 8."""

    def __init__(self, in_channels):
        super().__init__()
        transition, growth = in_channels // 2, in_channels // 8
        self._channels = [in_channels] + len(RATES) * [growth]
        self.dilate1 = ConvUnit(in_channels, growth, 3, dilation=RATES[0])
        self._transitions = numbered(
            self,
            "trans",
            (ConvUnit(in_channels + i * growth, transition) for i in range(1, len(RATES))),
        )
        self._dilated = numbered(
            self,
            "dilate",
            (ConvUnit(transition, growth, 3, dilation=rate) for rate in RATES[1:]),
            first=2,
        )
        self.projection = ConvUnit(sum(self._channels), WIDTH)
        self.drop = nn.Dropout(0.5)

    def hybrid_forward(self, F, x):
        maps = [x, self.dilate1(x)]
        for transition, dilated in zip(self._transitions, self._dilated):
            maps.append(dilated(transition(concat(F, maps, self._channels[: len(maps)]))))
        return self.drop(self.projection(concat(F, maps, self._channels)))


class DenseASPPHead(nn.HybridBlock):
    """c4 -> logits at its stride."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.dense_aspp = DensePyramid(in_channels)
        self.head = FCNHead(WIDTH, num_classes)

    def hybrid_forward(self, F, c4):
        return self.head(self.dense_aspp(c4))


@register("denseaspp")
class DenseASPP(SegmentationModel):
    """Dense dilation pyramid on c4; auxiliary head on c3."""

    aux_weights = (0.4,)
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        _, _, c3, c4 = backbone.channels
        self.head = DenseASPPHead(c4, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(c3, num_classes))

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c4), c3)
