"""Deep pyramids over a coarse map (stride 64): context pooled with very large strides.

They descend from DDRNet's DAPPM (Hong et al., 2021). All convolutions but those that PMSDSEN's
relative passes in are pre-activated: batch norm, ReLU, convolution.
"""

from mxnet.gluon import nn

from .activation import relu
from .concat import concat_equal
from .conv import conv2d, numbered, pre_activated
from .pyramid import GlobalPool
from .resize import resize_like

POOLS = ((5, 2), (9, 4), (17, 8))  # (kernel, stride) of the three local pools


def average_pool(kernel, stride):
    """Average over ``kernel``, an int or (rows, columns), odd; zeros beyond the border count."""
    padding = tuple(k // 2 for k in kernel) if isinstance(kernel, tuple) else kernel // 2
    return nn.AvgPool2D(kernel, stride, padding)


def enlarge(F, x, like):
    """Bilinear with half-pixel centres, as everywhere in these networks."""
    return resize_like(F, x, like, align_corners=False)


def pooling_cascade(F, x, scales, processes, compression, shortcut):
    """DAPPM's wiring: every pooled map is joined to the result of the next finer one.

    Args:
        scales: blocks x -> map; the first keeps the size, the others pool.
        processes: a block for each but the first of ``scales``.
        compression: block over all maps. shortcut: block over x; its result is added.
    """
    maps = [scales[0](x)]
    for scale, process in zip(scales[1:], processes):
        maps.append(process(enlarge(F, scale(x), x) + maps[-1]))
    return compression(concat_equal(F, *maps)) + shortcut(x)


class _PooledMaps(nn.HybridBlock):
    """What DAPPM and PAPPM share: (N, in_channels, H, W) -> (N, channels, H, W)."""

    def __init__(self, in_channels, width, channels):
        super().__init__()
        pools = [None, *(average_pool(k, s) for k, s in POOLS), GlobalPool()]
        scales = (pre_activated(in_channels, width, before=pool) for pool in pools)
        self._scales = numbered(self, "scale", scales, first=0)
        self.compression = pre_activated(5 * width, channels)
        self.shortcut = pre_activated(in_channels, channels)


class DAPPM(_PooledMaps):
    """Deep aggregation pyramid: each pooled map passes through the coarser ones' convolutions."""

    def __init__(self, in_channels, width, channels):
        super().__init__(in_channels, width, channels)
        units = (pre_activated(width, width, 3) for _ in range(4))
        self._processes = numbered(self, "process", units)

    def hybrid_forward(self, F, x):
        return pooling_cascade(F, x, self._scales, self._processes, self.compression, self.shortcut)


class PAPPM(_PooledMaps):
    """Parallel aggregation pyramid (PIDNet): the cascade replaced by one grouped convolution."""

    def __init__(self, in_channels, width, channels):
        super().__init__(in_channels, width, channels)
        self.scale_process = pre_activated(4 * width, 4 * width, 3, groups=4)

    def hybrid_forward(self, F, x):
        first, *others = self._scales
        fine = first(x)
        maps = concat_equal(F, *(enlarge(F, scale(x), x) + fine for scale in others))
        maps = F.concat(fine, self.scale_process(maps), dim=1)
        return self.compression(maps) + self.shortcut(x)


class GatedSum(nn.HybridBlock):
    """gate * a + (1 - gate) * b, one gate (N, 1, H, W) for all channels, made of both."""

    def __init__(self, channels):
        super().__init__()
        self.conv3 = conv2d(channels, 1)

    def hybrid_forward(self, F, a, b):
        gate = F.sigmoid(self.conv3(relu(F, a + b)))
        return b + F.broadcast_mul(gate, a - b)


class APPPM(nn.HybridBlock):
    """Asymmetric pooling pyramid (SANet): pools along the width, then along the height.

    (N, in_channels, H, W) -> (N, channels, H, W). The branches do not feed each other; the sum with
    the shortcut is gated.
    """

    def __init__(self, in_channels, width, channels):
        super().__init__()
        self.scale0 = pre_activated(in_channels, width)
        for i, (k, s) in enumerate(POOLS, start=1):
            rows, columns = average_pool((k, 1), (s, 1)), average_pool((1, k), (1, s))
            setattr(self, f"scale{i}", pre_activated(in_channels, width, 3, before=columns))
            setattr(self, f"scale{i}{i}", pre_activated(width, width, 3, before=rows))
        self.scale4 = pre_activated(in_channels, width, before=GlobalPool())
        self.compression = pre_activated(5 * width, channels)
        self.shortcut = pre_activated(in_channels, channels)
        self.atten = GatedSum(channels)

    def hybrid_forward(self, F, x):
        pooled = [
            self.scale11(self.scale1(x)),
            self.scale22(self.scale2(x)),
            self.scale33(self.scale3(x)),
            self.scale4(x),
        ]
        maps = concat_equal(F, self.scale0(x), *(enlarge(F, y, x) for y in pooled))
        return self.atten(self.shortcut(x), self.compression(maps))
