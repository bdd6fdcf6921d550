"""Context from large neighbourhoods: global flow and pooling pyramids."""

from mxnet.gluon import nn

from .conv import ConvUnit
from .resize import resize_like


def global_pool(F, x):
    """Mean over height and width: (N, C, H, W) -> (N, C, 1, 1)."""
    return F.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1))


class GlobalFlow(nn.HybridBlock):
    """The image's mean, projected: (N, C, H, W) -> a constant map (N, channels, H, W).

    Batch norm in training sees one value per image: with a batch of one it would return its beta,
    whatever the input. The trainer refuses that batch size (see ``SegmentationModel.min_batch``).
    """

    def __init__(self, in_channels, channels):
        super().__init__()
        self.conv1x1 = ConvUnit(in_channels, channels)

    def hybrid_forward(self, F, x):
        return F.broadcast_like(
            self.conv1x1(global_pool(F, x)), x, lhs_axes=(2, 3), rhs_axes=(2, 3)
        )


class PyramidPooling(nn.HybridBlock):
    """Adaptive pooling to several sizes, projected, enlarged and joined to the input.

    Zhao et al., Pyramid Scene Parsing Network, CVPR 2017. (N, C, H, W) -> (N, 2C, H, W), the input
    first, for the default four bins.
    """

    def __init__(self, in_channels, bins=(1, 2, 3, 6)):
        super().__init__()
        self._bins = bins
        for i in range(len(bins)):
            setattr(self, f"conv{i + 1}", ConvUnit(in_channels, in_channels // len(bins)))

    def hybrid_forward(self, F, x):
        maps = [x]
        for i, size in enumerate(self._bins):
            pooled = F.contrib.AdaptiveAvgPooling2D(x, output_size=size)
            maps.append(resize_like(F, getattr(self, f"conv{i + 1}")(pooled), x))
        return F.concat(*maps, dim=1)
