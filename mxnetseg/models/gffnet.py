"""GFFNet: all stages exchange features through gates, under a densely connected pyramid.

Li et al., Gated Fully Fusion for Semantic Segmentation, AAAI 2020; as in MXNetSeg: a gate per
channel and position (paper: per position), and the levels are fused one after the other, each with
the already fused maps of those before it (paper: all at once).
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, PyramidPooling, numbered, resize_like, sequential
from .base import SegmentationModel, register

WIDTH = 256


class DensePyramid(nn.HybridBlock):
    """(context, y1 ... y4), all (N, 256, H, W) -> logits; each level sees all coarser ones."""

    def __init__(self, num_classes):
        super().__init__()
        self.blk_4 = ConvUnit(2 * WIDTH, WIDTH, 3)
        self.blk_3 = ConvUnit(3 * WIDTH, WIDTH, 3)
        self.blk_2 = ConvUnit(4 * WIDTH, WIDTH, 3)
        self.blk_1 = ConvUnit(5 * WIDTH, WIDTH, 3)
        self.head = FCNHead(5 * WIDTH, num_classes)

    def hybrid_forward(self, F, p, y1, y2, y3, y4):
        z4 = self.blk_4(F.concat(p, y4, dim=1))
        z3 = self.blk_3(F.concat(z4, y3, p, dim=1))
        z2 = self.blk_2(F.concat(z3, y2, z4, p, dim=1))
        z1 = self.blk_1(F.concat(z2, y1, z3, z4, p, dim=1))
        return self.head(F.concat(p, z4, z3, z2, z1, dim=1))


class GFFNetHead(nn.HybridBlock):
    """(c1, c2, c3, c4) -> logits at the stride of c1."""

    def __init__(self, channels, strides, num_classes):
        super().__init__()
        self._strides = strides
        self.ppm = sequential(PyramidPooling(channels[3]), ConvUnit(2 * channels[3], WIDTH))
        gates = (ConvUnit(c, WIDTH, bias=True, norm=False, act="sigmoid") for c in channels)
        fusions = (sequential(*(ConvUnit(WIDTH, WIDTH, 3) for _ in range(2))) for _ in channels)
        self._gates = numbered(self, "gate_", gates)
        self._reductions = numbered(self, "conv1x1_", (ConvUnit(c, WIDTH) for c in channels))
        self._fusions = numbered(self, "fusion_", fusions)
        self.dfp = DensePyramid(num_classes)

    def _resize(self, F, maps, source, target):
        """Map ``source`` at the size of map ``target``: stages of equal stride are equal."""
        if self._strides[source] == self._strides[target]:
            return maps[source]
        return resize_like(F, maps[source], maps[target])

    def hybrid_forward(self, F, *stages):
        gates = [gate(x) for gate, x in zip(self._gates, stages)]
        maps = [reduce(x) for reduce, x in zip(self._reductions, stages)]
        gated = [g * x for g, x in zip(gates, maps)]
        for k in range(4):  # in this order: map k sees the new maps before it
            others = [self._resize(F, gated, j, k) for j in range(4) if j != k]
            received = (1 - gates[k]) * (others[0] + others[1] + others[2])
            maps[k] = maps[k] + gated[k] + received
            gated[k] = gates[k] * maps[k]
        context = self.ppm(stages[3])
        maps = [fusion(x) for fusion, x in zip(self._fusions, maps)]
        maps.append(context)
        fine = [maps[0]]
        for k, level in enumerate((1, 2, 3, 3), start=1):
            equal = self._strides[level] == self._strides[0]
            fine.append(maps[k] if equal else resize_like(F, maps[k], maps[0]))
        return self.dfp(fine[4], *fine[:4])


@register("gffnet")
class GFFNet(SegmentationModel):
    """Gated fusion of c1 ... c4 at stride 4; auxiliary head on c3."""

    aux_weights = (0.4,)
    min_batch = 2
    default_output_stride = 8

    def __init__(self, num_classes, backbone, aux=True):
        super().__init__(num_classes, backbone)
        self.head = GFFNetHead(backbone.channels, backbone.strides, num_classes)
        if aux:
            self.add_aux_heads(FCNHead(backbone.channels[2], num_classes))

    def logits(self, F, x):
        c1, c2, c3, c4 = self.backbone(x)
        return self.with_aux(self.head(c1, c2, c3, c4), c3)
