"""DANet: attention between positions and between channels.

Fu et al., Dual Attention Network for Scene Segmentation, CVPR 2019; as in MXNetSeg, which follows
the authors' release: no multi-grid, the least similar channels get the largest weight. Auxiliaries
are off by default there; the authors train with three losses of weight 1. Memory of the position
attention grows with the square of the map's pixels.
"""

from mxnet import init
from mxnet.gluon import nn

from ..nn import ConvUnit, SelfAttention, conv2d
from .base import SegmentationModel, register


class ChannelAttention(nn.HybridBlock):
    """x + gamma * (channels, averaged with weights that fall with their similarity).

    (N, C, H, W) -> (N, C, H, W); ``gamma`` (1,) is learned and starts from 0.
    """

    def __init__(self):
        super().__init__()
        self.gamma = self.params.get("gamma", shape=(1,), init=init.Zero())

    def hybrid_forward(self, F, x, gamma):
        flat = F.reshape(x, shape=(0, 0, -1))
        similarity = F.batch_dot(flat, flat, transpose_b=True)
        # The authors write softmax(max - similarity): the same, the maximum cancels.
        weights = F.softmax(-similarity, axis=-1)
        y = F.reshape_like(F.batch_dot(weights, flat), x)
        return F.broadcast_mul(y, F.reshape(gamma, shape=(1, 1, 1, 1))) + x


def _classifier(channels, num_classes):
    out = nn.HybridSequential()
    out.add(nn.Dropout(0.1), conv2d(channels, num_classes))
    return out


class DANetHead(nn.HybridBlock):
    """c4 -> (logits of the sum, position features, channel features) at its stride."""

    def __init__(self, in_channels, channels, num_classes):
        super().__init__()
        self.compress_pam = ConvUnit(in_channels, channels, 3)
        self.pam = SelfAttention(channels)
        self.proj_pam = ConvUnit(channels, channels, 3)
        self.compress_cam = ConvUnit(in_channels, channels, 3)
        self.cam = ChannelAttention()
        self.proj_cam = ConvUnit(channels, channels, 3)
        self.head = _classifier(channels, num_classes)

    def hybrid_forward(self, F, c4):
        positions = self.proj_pam(self.pam(self.compress_pam(c4)))
        channels = self.proj_cam(self.cam(self.compress_cam(c4)))
        return self.head(positions + channels), positions, channels


@register("danet")
class DANet(SegmentationModel):
    """Auxiliary classifiers on the position and on the channel features, in this order."""

    aux_weights = (1.0, 1.0)
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=False):
        super().__init__(num_classes, backbone)
        channels = backbone.channels[3] // 4
        self.head = DANetHead(backbone.channels[3], channels, num_classes)
        if aux:
            self.add_aux_heads(*(_classifier(channels, num_classes) for _ in range(2)))

    def logits(self, F, x):
        main, positions, channels = self.head(self.backbone(x)[3])
        return self.with_aux(main, positions, channels)
