"""Context from large neighbourhoods: global flow, pooling and dilation pyramids."""

from mxnet.gluon import nn

from .concat import concat
from .conv import ConvUnit, numbered
from .form import takes_operator
from .positions import positions
from .resize import resize_like


def global_pool(F, x):
    """Mean over height and width: (N, C, H, W) -> (N, C, 1, 1).

    Two matrix products. MXNet 1.9.1's global pooling adds one value after the other on a CPU: its
    relative error is 1e-5 for a map of 256 x 512, where this has 5e-7. And its gradient takes fifty
    times as long.
    """
    if takes_operator():
        return F.Pooling(x, global_pool=True, pool_type="avg")
    rows, columns = (F.ones_like(positions(F, x, axis=axis)) for axis in (2, 3))
    total = F.dot(F.dot(x, columns), rows)
    mean = F.broadcast_div(total, F.sum(rows) * F.sum(columns))
    return F.reshape(mean, shape=(0, 0, 1, 1))


class GlobalPool(nn.HybridBlock):
    """:func:`global_pool` as a block."""

    def hybrid_forward(self, F, x):
        return global_pool(F, x)


def pool_by(F, x, factor):
    """Adaptive average pooling to (H // factor, W // factor) cells, whatever H and W are.

    Cell i of n covers rows floor(i H / n) to ceil((i + 1) H / n) - 1. Two matrix products, because
    the operator wants the number of cells in advance. (N, C, H, W), H and W at least ``factor``.
    """
    rows, columns = _pooling_matrix(F, x, 2, factor), _pooling_matrix(F, x, 3, factor)
    y = F.dot(x, columns, transpose_b=True)
    return F.transpose(F.dot(rows, F.transpose(y, axes=(2, 0, 1, 3))), axes=(1, 2, 0, 3))


def _pooling_matrix(F, x, axis, factor):
    """Weights (cells, n) of adaptive average pooling along ``axis``."""
    index = positions(F, x, axis=axis)
    # every factor-th index, from factor - 1: as many as there are cells
    cell = (F.slice(index, begin=(factor - 1,), end=(None,), step=(factor,)) + 1) / factor - 1
    size, cells = F.max(index) + 1, F.max(cell) + 1
    first = F.floor(F.broadcast_div(F.broadcast_mul(cell, size), cells))
    behind = F.ceil(F.broadcast_div(F.broadcast_mul(cell + 1, size), cells))
    first, behind = F.expand_dims(first, 1), F.expand_dims(behind, 1)
    index = F.expand_dims(index, 0)
    inside = F.broadcast_greater_equal(index, first) * F.broadcast_lesser(index, behind)
    return F.broadcast_div(inside, behind - first)


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
        self._channels = [in_channels] + [in_channels // len(bins)] * len(bins)
        units = (ConvUnit(in_channels, in_channels // len(bins)) for _ in bins)
        self._units = numbered(self, "conv", units)

    def hybrid_forward(self, F, x):
        maps = [x]
        for unit, size in zip(self._units, self._bins):
            pooled = F.contrib.AdaptiveAvgPooling2D(x, output_size=size)
            maps.append(resize_like(F, unit(pooled), x))
        return concat(F, maps, self._channels)


class ASPP(nn.HybridBlock):
    """Atrous spatial pyramid pooling: (N, C, H, W) -> (N, channels, H, W).

    Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017: a 1 x 1 unit,
    a 3 x 3 unit per rate and the global flow, joined in this order, projected; dropout.

    Args:
        pool: False leaves out the global flow.
    """

    def __init__(self, in_channels, channels=256, rates=(6, 12, 18), dropout=0.5, pool=True):
        super().__init__()
        self.branches = nn.HybridSequential()
        self.branches.add(
            ConvUnit(in_channels, channels),
            *(ConvUnit(in_channels, channels, 3, dilation=rate) for rate in rates),
        )
        if pool:
            self.branches.add(GlobalFlow(in_channels, channels))
        self.projection = ConvUnit(len(self.branches) * channels, channels)
        self.drop = nn.Dropout(dropout)

    def hybrid_forward(self, F, x):
        maps = F.concat(*[branch(x) for branch in self.branches], dim=1)
        return self.drop(self.projection(maps))
