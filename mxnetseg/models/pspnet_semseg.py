"""PSPNet as in semseg: pyramid pooling on a dilated ResNet, the reference point of its authors.

Zhao et al., Pyramid Scene Parsing Network, CVPR 2017, arXiv 1612.01105; as in hszhao/semseg. It
differs from "pspnet", MXNetSeg's, by the backbone, the heads' width and the sizes it takes.
"""

from ..errors import UsageError
from ..nn import PyramidPooling, resize_to_stride, sequential_head, unbiased_variance
from .base import SegmentationModel, register

ZOOM_FACTORS = (1, 2, 4, 8)


class SemsegModel(SegmentationModel):
    """What the networks of semseg share: context on c4, the heads, the sizes.

    Height and width are 1 plus a multiple of the stride, so that the maps' corners fall on pixels.

    ``zoom_factor`` is the original's: the logits' own resolution is (H - 1) / 8 zoom_factor + 1. At
    8 that is the input's, and the base class enlarges to it. For zoom factors below, the original
    compares with every (8 / zoom_factor)-th label; enlarged, all of them are the same.
    """

    aux_weights = (0.4,)
    default_backbone = "resnet50_semseg"
    default_output_stride = 8
    size_remainder = 1
    min_size = 9

    def __init__(self, num_classes, backbone, zoom_factor):
        super().__init__(num_classes, backbone)
        if zoom_factor not in ZOOM_FACTORS:
            raise UsageError(f"zoom_factor must be 1, 2, 4 or 8, not {zoom_factor}.")
        self.zoom_factor = zoom_factor
        self.size_divisor = backbone.output_stride

    def add_heads(self, channels, aux, dropout):
        """The heads on ``channels`` of context and, with ``aux``, on c3."""
        self.cls = sequential_head(channels, 512, self.num_classes, dropout)
        self.aux = None
        if aux:
            c3 = self.backbone.channels[2]
            self.aux = sequential_head(c3, 256, self.num_classes, dropout)
        self.output_names = ("main", "aux") if aux else ("main",)
        unbiased_variance(self)

    def context(self, F, c4):
        """c4 -> what the main head reads."""
        raise NotImplementedError

    def logits(self, F, x):
        _, _, c3, c4 = self.backbone(x)
        outputs = self.with_heads(self.cls(self.context(F, c4)), (self.aux, c3))
        if not self.upsample_outputs and self.zoom_factor != 8:
            outputs = tuple(resize_to_stride(F, y, x, 8 // self.zoom_factor) for y in outputs)
        return outputs


@register("pspnet_semseg")
class PSPNet(SemsegModel):
    """Main head behind the pyramid, auxiliary head on c3.

    Args:
        bins: sizes of the pyramid's grids; their number divides the channels of c4.
        use_ppm: False leaves out the pyramid.
        zoom_factor: 1, 2, 4 or 8: the network's own logits are at stride 8 / zoom_factor.
        dropout: of whole channels, in both heads.
    """

    def __init__(
        self,
        num_classes,
        backbone,
        aux=True,
        bins=(1, 2, 3, 6),
        use_ppm=True,
        zoom_factor=8,
        dropout=0.1,
    ):
        super().__init__(num_classes, backbone, zoom_factor)
        c4 = backbone.channels[3]
        if use_ppm and c4 % len(bins):
            raise UsageError(f"The number of bins must divide {c4}, so {bins} cannot be.")
        self.ppm = PyramidPooling(c4, bins) if use_ppm else None
        if use_ppm and 1 in bins:
            self.min_batch = max(2, self.min_batch)
        self.add_heads(2 * c4 if use_ppm else c4, aux, dropout)

    def context(self, F, c4):
        return c4 if self.ppm is None else self.ppm(c4)
