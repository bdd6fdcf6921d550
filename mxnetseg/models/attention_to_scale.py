"""Attention to Scale: one network looks at two sizes of the image; attention blends the scores.

Chen et al., Attention to Scale: Scale-aware Semantic Image Segmentation, CVPR 2016; as in MXNetSeg:
scales 1 and 1/2 only, a sigmoid instead of a softmax over scales, and the small map is enlarged
before the classifier instead of behind it.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, concat, conv2d, resize_like
from .base import SegmentationModel, register


class ScaleAttention(nn.HybridBlock):
    """(map of the image, map of the half-size image) -> blended logits at the first's size."""

    def __init__(self, in_channels, num_classes):
        super().__init__()
        self._channels = (in_channels, in_channels)
        self.seg_head = FCNHead(in_channels, num_classes, width=256)
        self.conv3x3 = ConvUnit(2 * in_channels, 512, 3)
        self.conv1x1 = conv2d(512, 1)

    def hybrid_forward(self, F, full, half):
        half = resize_like(F, half, full)
        both = concat(F, [full, half], self._channels)
        weight = F.sigmoid(self.conv1x1(self.conv3x3(both)))
        return F.broadcast_mul(self.seg_head(full), weight) + F.broadcast_mul(
            self.seg_head(half), 1 - weight
        )


def half_size(F, x):
    """(N, 3, H, W) resized to (H // 2, W // 2)."""
    every_second = F.slice(x, begin=(0, 0, 1, 1), end=(1, 1, None, None), step=(1, 1, 2, 2))
    return resize_like(F, x, every_second)


@register("attention_to_scale")
class AttentionToScale(SegmentationModel):
    """Two passes through one backbone; an auxiliary head of its own for each scale's c4.

    In training the backbone's norms see two batches a step: the image, then its half.
    """

    aux_weights = (1.0, 1.0)
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.min_size = 2 * backbone.min_size
        c4 = backbone.channels[3]
        self.head = ScaleAttention(c4, num_classes)
        if aux:
            light = dict(width=256, dropout=0, kernel=1)
            self.add_aux_heads(*(FCNHead(c4, num_classes, **light) for _ in range(2)))

    def logits(self, F, x):
        full = self.backbone(x)[3]
        half = self.backbone(half_size(F, x))[3]
        return self.with_aux(self.head(full, half), full, half)
