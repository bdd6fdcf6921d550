"""PSANet: every position collects from, and distributes to, all others by learned attention.

Zhao et al., PSANet: Point-wise Spatial Attention Network for Scene Parsing, ECCV 2018; as in
hszhao/semseg, whose C++ operator is expressed here by standard ones.
"""

from mxnet.gluon import nn

from ..errors import UsageError
from ..nn import (
    conv2d,
    conv_unit,
    map_of_positions,
    positions,
    resize_like,
    resize_to_stride,
    sequential,
)
from ..registry import unknown
from .base import register
from .pspnet_semseg import SemsegModel

WIDTH = 512
MODES = {"collect": ("collect",), "distribute": ("distribute",), "both": ("collect", "distribute")}


def full_mask(crop_size, shrink_factor=2, compact=False, stride=8):
    """The mask (height, width) that covers a crop (height, width): semseg's default in training."""
    sides = [(side - 1) // (stride * shrink_factor) + 1 for side in crop_size]
    return tuple(sides) if compact else tuple(2 * side - 1 for side in sides)


def _attention(cells):
    return sequential(*conv_unit(WIDTH, WIDTH), conv2d(WIDTH, cells, bias=False))


def spread(F, attention, like, mask_size, distribute=False):
    """The mask operator: attention by relative offset -> attention by absolute position.

    Args:
        attention: (N, mask height * mask width, h, w). Channel (p, q) at position i speaks of the
            position i + (p, q) - (mask size - 1) / 2.
        like: any map (*, *, h, w), for the size.
        mask_size: (height, width), odd.
        distribute: position i speaks of what it gives to others, instead of what it takes.

    Returns:
        (N, h * w targets, h * w sources), both row-major; 0 where the mask does not reach.
    """
    height, width = mask_size
    rows, columns = positions(F, like, axis=2), positions(F, like, axis=3)
    row_cells, rows_inside = _offsets(F, rows, height, distribute)
    column_cells, columns_inside = _offsets(F, columns, width, distribute)

    # index[target, source] in an image's flat attention, as integers: float32 is too coarse
    rows, columns = F.cast(rows, "int32"), F.cast(columns, "int32")
    w = F.max(columns, keepdims=True) + 1
    size = w * (F.max(rows, keepdims=True) + 1)
    speaker = 0 if distribute else 1
    by_row = F.broadcast_add(
        F.broadcast_mul(row_cells * width, F.expand_dims(size, 0)),
        F.expand_dims(F.broadcast_mul(rows, w), speaker),
    )
    by_column = F.broadcast_add(
        F.broadcast_mul(column_cells, F.expand_dims(size, 0)), F.expand_dims(columns, speaker)
    )
    index = F.BlockGrad(_outer(F, F.broadcast_add, by_row, by_column))
    inside = F.BlockGrad(_outer(F, F.broadcast_mul, rows_inside, columns_inside))

    # The images come last, because MXNet's gradient of take is several times faster on axis 0.
    flat = F.transpose(F.reshape(attention, (0, -1)))
    found = F.transpose(F.take(flat, index, axis=0), axes=(2, 0, 1))
    return F.broadcast_mul(found, F.expand_dims(inside, 0))


def _offsets(F, index, size, distribute):
    """(cells (n, n) int32, whether they are in the mask) of all (target, source) along an axis."""
    target, source = F.expand_dims(index, 1), F.expand_dims(index, 0)
    offset = F.broadcast_sub(target, source) if distribute else F.broadcast_sub(source, target)
    offset = offset + (size - 1) // 2
    cell = F.clip(offset, 0, size - 1)
    return F.cast(cell, "int32"), F.broadcast_equal(cell, offset)


def _outer(F, combine, by_row, by_column):
    """(h, h), (w, w) -> (h * w, h * w)."""
    by_row = F.expand_dims(F.expand_dims(by_row, 1), 3)
    by_column = F.expand_dims(F.expand_dims(by_column, 0), 2)
    return F.reshape(combine(by_row, by_column), shape=(-3, -3))


class PointwiseAttention(nn.HybridBlock):
    """(N, C, H, W) -> (N, 2C, H, W): the input, and what its positions hear from each other.

    Args: see :class:`PSANet`.
    """

    def __init__(
        self, in_channels, mode, compact, shrink_factor, mask_size, normalization_factor, softmax
    ):
        super().__init__()
        self._branches = MODES[mode]
        cells = mask_size[0] * mask_size[1]
        self._compact = compact
        self._shrink = shrink_factor
        self._mask_size = mask_size
        self._factor = normalization_factor
        self._softmax = softmax
        # The only branch has the plain names, whichever it is.
        self.reduce, self.attention = conv_unit(in_channels, WIDTH), _attention(cells)
        self._layers = [(self.reduce, self.attention)]
        if len(self._branches) == 2:
            self.reduce_p, self.attention_p = conv_unit(in_channels, WIDTH), _attention(cells)
            self._layers.append((self.reduce_p, self.attention_p))
        self.proj = conv_unit(WIDTH * len(self._branches), in_channels)

    def hybrid_forward(self, F, x):
        heard = [self._listen(F, x, b, *layers) for b, layers in zip(self._branches, self._layers)]
        y = self.proj(heard[0] if len(heard) == 1 else F.concat(*heard, dim=1))
        if self._shrink != 1:
            y = resize_like(F, y, x)
        return F.concat(x, y, dim=1)

    def _listen(self, F, x, branch, reduce, attention):
        """One branch: x (N, C, H, W) -> (N, 512, h, w)."""
        values = reduce(x)
        if self._shrink != 1:
            values = resize_to_stride(F, values, values, self._shrink)
        attention = attention(values)
        distribute = branch == "distribute"
        if not self._compact:
            attention = spread(F, attention, values, self._mask_size, distribute)
        else:
            attention = F.reshape(attention, (0, 0, -1))  # channels are what position i speaks of
            if not distribute:
                attention = F.transpose(attention, axes=(0, 2, 1))
        if self._softmax:
            attention = F.softmax(attention, axis=2)
        y = F.batch_dot(attention, F.reshape(values, (0, 0, -1)), transpose_b=True)
        if self._factor != 1:
            y = y / self._factor
        return map_of_positions(F, y, values)


@register("psanet")
class PSANet(SemsegModel):
    """Main head behind the attention, auxiliary head on c3.

    Args:
        mode: "collect", "distribute" or "both".
        compact: attention to absolute positions instead of offsets; fixes the input's size.
        shrink_factor: the attention works on a map reduced by this.
        mask_size: (height, width) of the window of attention, in cells of the reduced map; odd.
            ``full_mask(crop_size)`` reaches from everywhere to everywhere; cells beyond the mask
            take part with the logit 0. If compact, the size of the reduced map.
        normalization_factor: what the sums are divided by; None: the number of the mask's cells.
        psa_softmax: whether the weights of all sources of a target sum to 1.
        use_psa: False leaves the attention out.
        zoom_factor: 1, 2, 4 or 8: the network's own logits are at stride 8 / zoom_factor.
        dropout: of whole channels, in both heads.
    """

    def __init__(
        self,
        num_classes,
        backbone,
        aux=True,
        mode="both",
        compact=False,
        shrink_factor=2,
        mask_size=(59, 59),
        normalization_factor=1.0,
        psa_softmax=True,
        use_psa=True,
        zoom_factor=8,
        dropout=0.1,
    ):
        super().__init__(num_classes, backbone, zoom_factor)
        if mode not in MODES:
            raise unknown("mode of PSANet", mode, MODES)
        mask_size = tuple(mask_size)
        if not compact and not all(side % 2 for side in mask_size):
            raise UsageError(
                f"The sides of PSANet's mask must be odd, unlike {mask_size[0]}x{mask_size[1]}."
            )
        if normalization_factor is None:
            normalization_factor = mask_size[0] * mask_size[1]
        c4 = backbone.channels[3]
        self.psa = None
        if use_psa:
            self.psa = PointwiseAttention(
                c4, mode, compact, shrink_factor, mask_size, normalization_factor, psa_softmax
            )
            self.size_divisor *= shrink_factor
            self.min_size = self.size_divisor + 1
            if compact:
                self.fixed_size = tuple((n - 1) * self.size_divisor + 1 for n in mask_size)
        self.add_heads(2 * c4 if use_psa else c4, aux, dropout)

    def context(self, F, c4):
        return c4 if self.psa is None else self.psa(c4)
