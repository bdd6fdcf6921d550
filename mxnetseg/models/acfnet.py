"""ACFNet: a coarse segmentation tells each class's features, which are mixed back into the pixels.

Zhang et al., ACFNet: Attentional Class Feature Network for Semantic Segmentation, ICCV 2019; as in
MXNetSeg, whose class centres differ from the paper's: logits instead of probabilities on both
sides, and a softmax over the channels that favours the smallest energies.
"""

from mxnet.gluon import nn

from ..nn import ASPP, ConvUnit, FCNHead
from ..nn.attention import flatten_positions
from .base import SegmentationModel, register

WIDTH = 512


class ClassFeature(nn.HybridBlock):
    """(features (N, C, H, W), logits (N, K, H, W)) -> the classes' features, (N, C, H, W).

    The energies (N, K, C) are sums over all positions: they grow with the image.
    """

    def __init__(self, channels):
        super().__init__()
        self.conv_1 = ConvUnit(channels, channels)
        self.conv_2 = ConvUnit(channels, channels)

    def hybrid_forward(self, F, x, coarse):
        x = self.conv_1(x)
        scores = flatten_positions(F, coarse)
        energy = F.batch_dot(scores, flatten_positions(F, x), transpose_b=True)
        # softmax(max - energy) of the original: a constant per row changes nothing
        centres = F.softmax(-energy, axis=-1)
        y = F.batch_dot(centres, scores, transpose_a=True)
        return self.conv_2(F.reshape_like(y, x))


class ACFNetHead(nn.HybridBlock):
    """c4 -> (refined logits, coarse logits) at its stride."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self.aspp = ASPP(in_channels, WIDTH, rates=(12, 24, 36), pool=False)
        self.coarse_head = FCNHead(WIDTH, num_classes)
        self.acf = ClassFeature(WIDTH)
        self.head = FCNHead(2 * WIDTH, num_classes)

    def hybrid_forward(self, F, c4):
        x = self.aspp(c4)
        coarse = self.coarse_head(x)
        return self.head(F.concat(x, self.acf(x, coarse), dim=1)), coarse


@register("acfnet")
class ACFNet(SegmentationModel):
    """Outputs: refined, coarse (auxiliary, computed in any case), auxiliary head on c3."""

    aux_weights = (0.4, 0.4)
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = ACFNetHead(backbone.channels[3], num_classes)
        self.aux_head = FCNHead(backbone.channels[2], num_classes) if aux else None
        self.output_names = ("main", "coarse", "aux") if aux else ("main",)

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        main, coarse = self.head(c4)
        if self.aux_head is None or self.main_only:
            return (main,)
        return main, coarse, self.aux_head(c3)
