"""Bilinear sampling at learned positions, and what is built from it."""

from mxnet.gluon import nn

from .positions import positions


def pad_for_sampling(F, x):
    """A border of one zero around ``x``: :func:`sample` then fades to zero outside the map.

    It also keeps maps of one row or column apart from the operator's division by size - 1.
    """
    return F.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1), constant_value=0)


def sample(F, padded, rows, columns):
    """Bilinear samples at pixel offsets from the own position.

    Args:
        padded: (N, C, H + 2, W + 2) from :func:`pad_for_sampling`.
        rows, columns: (N, 1, H, W), downwards and to the right, in pixels.

    Returns:
        (N, C, H, W): position (i + rows, j + columns) of the map without its border; each of the
        four neighbours counts as 0 where it lies outside the map.
    """
    y = _grid(F, padded, rows, 2)
    x = _grid(F, padded, columns, 3)
    return F.BilinearSampler(padded, F.concat(x, y, dim=1))


def _grid(F, padded, offset, axis):
    """Offsets along ``axis`` -> the operator's coordinates, -1 to 1 from border to border."""
    last = F.max(positions(F, padded, axis=axis))
    own = positions(F, offset, axis=axis) + 1  # behind the border
    own = F.reshape(own, (1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
    return F.broadcast_div(F.broadcast_add(offset, own) * 2, last) - 1


def warp(F, x, offset):
    """Shift every pixel's source: (N, C, H, W) sampled at (y + offset 1, x + offset 0).

    Args:
        offset: (N, 2, H, W), in pixels; horizontal first. Outside the map is zero.
    """
    columns = F.slice_axis(offset, axis=1, begin=0, end=1)
    rows = F.slice_axis(offset, axis=1, begin=1, end=2)
    return sample(F, pad_for_sampling(F, x), rows, columns)


class ModulatedDeformableConv(nn.HybridBlock):
    """3 x 3 convolution with a learned offset and weight per position, kernel point and group.

    Zhu et al., Deformable ConvNets v2, CVPR 2019; parameter names and channel order of MXNet's
    ``ModulatedDeformableConvolution``, which has no backward on CPU in 1.9.1. This one is composed
    from sampling and 1 x 1 convolutions, one kernel point at a time to save memory;
    forward it takes as long as the operator.

    Offsets start at zero and weights at one (2 sigmoid(0)): an ordinary convolution.

    Args:
        groups: G; group g moves the g-th of G equal slices of the input channels.
    """

    def __init__(self, in_channels, channels, groups):
        super().__init__()
        self._in_channels, self._channels, self._groups = in_channels, channels, groups

        def get(name, *shape, init=None):
            return self.params.get(name, shape=shape, init=init)

        self.deformable_conv_weight = get("deformable_conv_weight", channels, in_channels, 3, 3)
        self.deformable_conv_bias = get("deformable_conv_bias", channels, init="zeros")
        self.offset_weight = get("offset_weight", 27 * groups, in_channels, 3, 3, init="zeros")
        self.offset_bias = get("offset_bias", 27 * groups, init="zeros")

    def hybrid_forward(
        self, F, x, deformable_conv_weight, deformable_conv_bias, offset_weight, offset_bias
    ):
        groups = self._groups
        offsets = F.Convolution(
            x, offset_weight, offset_bias, kernel=(3, 3), pad=(1, 1), num_filter=27 * groups
        )
        weights = F.sigmoid(F.slice_axis(offsets, axis=1, begin=18 * groups, end=None)) * 2
        offsets = F.slice_axis(offsets, axis=1, begin=0, end=18 * groups)
        # From here on the groups are images of their own: (N G, ..., H, W).
        offsets = F.reshape(offsets, (-1, 18, 0, 0))
        weights = F.reshape(weights, (-1, 9, 0, 0))
        padded = pad_for_sampling(F, F.reshape(x, (-1, self._in_channels // groups, 0, 0)))
        out = None
        for k in range(9):
            i, j = divmod(k, 3)
            rows = F.slice_axis(offsets, axis=1, begin=2 * k, end=2 * k + 1) + (i - 1)
            columns = F.slice_axis(offsets, axis=1, begin=2 * k + 1, end=2 * k + 2) + (j - 1)
            taken = F.broadcast_mul(
                sample(F, padded, rows, columns), F.slice_axis(weights, axis=1, begin=k, end=k + 1)
            )
            term = F.Convolution(
                F.reshape(taken, (-1, self._in_channels, 0, 0)),
                F.slice(
                    deformable_conv_weight, begin=(None, None, i, j), end=(None, None, i + 1, j + 1)
                ),
                no_bias=True,
                kernel=(1, 1),
                num_filter=self._channels,
            )
            out = term if out is None else out + term
        return F.broadcast_add(out, F.reshape(deformable_conv_bias, (1, -1, 1, 1)))
