"""EPRNet: pyramids of depthwise convolutions, for real time with under a million parameters.

Tang et al., EPRNet: Efficient Pyramid Representation Network for Real-Time Street Scene
Segmentation, IEEE Transactions on Intelligent Transportation Systems 2022; as in MXNetSeg, the
authors' own code. The trunk is ``backbones/eprnet.py``.
"""

from ..backbones.eprnet import EPRNetTrunk
from ..nn import FCNHead
from .base import SegmentationModel, register


@register("eprnet")
class EPRNet(SegmentationModel):
    """Head on the trunk's last stage, at stride 8; no auxiliary head.

    Args:
        light: the lighter pyramid.
        activation: of every unit, the head's too.
        dropout: probability between the head's two convolutions.
    """

    def __init__(self, num_classes, light=False, activation="prelu", dropout=0):
        super().__init__(num_classes, EPRNetTrunk(light, activation))
        channels = self.backbone.channels[3]
        self.head = FCNHead(channels, num_classes, dropout=dropout, act=activation)

    def logits(self, F, x):
        return (self.head(self.backbone(x)[3]),)
