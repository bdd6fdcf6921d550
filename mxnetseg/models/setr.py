"""SETR: a vision transformer encodes, a few convolutions decode.

Zheng et al., Rethinking Semantic Segmentation from a Sequence-to-Sequence Perspective with
Transformers, CVPR 2021, arXiv 2012.15840; as in MXNetSeg: the class scores of "pup" pass batch norm
and ReLU, so that they are never negative, and "mla" joins its streams at the patches' stride.

The decoders get the tapped maps deepest first, and so are the auxiliary outputs.
"""

from mxnet.gluon import nn

from ..nn import ConvUnit, FCNHead, conv2d, numbered, resize_like, sequential, upscale
from ..registry import unknown
from .base import SegmentationModel, register

WIDTH = 256
# which of a ViT's blocks are tapped, as shares of 24
TAPS = {"naive": (10, 15, 20, 24), "pup": (10, 15, 20, 24), "mla": (6, 12, 18, 24)}


def _score_head(in_channels, num_classes):
    return FCNHead(in_channels, num_classes, width=WIDTH, dropout=0, kernel=1)


class _Decoder(nn.HybridBlock):
    """Maps, deepest first -> main logits; auxiliary heads on the maps in ``aux_maps``."""

    def __init__(self, channels, num_classes, aux, aux_maps=(0, 1, 2, 3)):
        super().__init__()
        self.aux_maps = aux_maps if aux else ()
        self.aux_head = None
        if aux:
            self.aux_head = sequential(*(_score_head(channels[k], num_classes) for k in aux_maps))

    def auxiliaries(self, maps):
        """The auxiliary logits."""
        return tuple(self.aux_head[i](maps[k]) for i, k in enumerate(self.aux_maps))


class Naive(_Decoder):
    """A 1 x 1 unit and a 1 x 1 convolution on the deepest map, which has no auxiliary head."""

    def __init__(self, channels, num_classes, aux):
        super().__init__(channels, num_classes, aux, aux_maps=(1, 2, 3))
        self.head = _score_head(channels[0], num_classes)

    def hybrid_forward(self, F, *maps):
        return self.head(maps[0])


class ProgressiveUpsampling(_Decoder):
    """3 x 3 units on the deepest map, doubled in size between them."""

    def __init__(self, channels, num_classes, aux):
        super().__init__(channels, num_classes, aux)
        self.conv0 = ConvUnit(channels[0], WIDTH, 3)
        self.conv1 = ConvUnit(WIDTH, WIDTH, 3)
        self.conv2 = ConvUnit(WIDTH, WIDTH, 3)
        self.conv3 = ConvUnit(WIDTH, WIDTH, 3)
        self.conv4 = ConvUnit(WIDTH, num_classes, 3)

    def hybrid_forward(self, F, *maps):
        x = maps[0]
        for unit in (self.conv0, self.conv1, self.conv2):
            x = upscale(F, unit(x), 2)
        return self.conv4(self.conv3(x))


class MultiLevelAggregation(_Decoder):
    """Every map reduced, added to the deeper ones, smoothed and squeezed; all of them joined."""

    def __init__(self, channels, num_classes, aux, same_size=True):
        super().__init__(channels, num_classes, aux)
        self._same_size = same_size
        streams = (
            sequential(ConvUnit(WIDTH, WIDTH // 2, 3), ConvUnit(WIDTH // 2, WIDTH // 2, 3))
            for _ in channels
        )
        # numbered from the finest map on, used from the deepest
        reductions = (ConvUnit(c, WIDTH) for c in channels[::-1])
        smoothings = (ConvUnit(WIDTH, WIDTH, 3) for _ in channels)
        self._levels = list(
            zip(
                numbered(self, "conv1x1_p", reductions, first=2),
                numbered(self, "conv3x3_p", smoothings, first=2),
                numbered(self, "head", streams, first=2),
            )
        )[::-1]
        self.head = conv2d(4 * (WIDTH // 2), num_classes)

    def hybrid_forward(self, F, *maps):
        finest, total, streams = maps[-1], None, []
        for (reduce, smooth, stream), x in zip(self._levels, maps):
            x = reduce(x)
            if not self._same_size:
                x = resize_like(F, x, finest)
            total = x if total is None else total + x
            streams.append(stream(smooth(total)))
        return self.head(F.concat(*streams, dim=1))


DECODERS = {"naive": Naive, "pup": ProgressiveUpsampling, "mla": MultiLevelAggregation}


@register("setr")
class SETR(SegmentationModel):
    """A ViT, or any other backbone, with one of three decoders.

    The ViT's table of positions belongs to one square size (``backbone_options``: ``img_size``) and
    is interpolated for others. Pixels that fill no patch, at the right and the bottom, are ignored.

    Args:
        decoder: "naive", "pup" (progressive upsampling) or "mla" (multi-level aggregation).
        aux: auxiliary heads on the tapped maps; in "naive" not on the deepest one.
    """

    default_backbone = "vit_large_16"
    large = True

    def __init__(self, num_classes, backbone, decoder="pup", aux=True):
        super().__init__(num_classes, backbone)
        if decoder not in DECODERS:
            raise unknown("decoder of SETR", decoder, DECODERS)
        if hasattr(backbone, "taps"):
            depth = len(backbone.blocks)
            backbone.taps = tuple(max(depth * tap // 24, 1) for tap in TAPS[decoder])
        channels = backbone.channels[::-1]
        options = {}
        if decoder == "mla":
            options["same_size"] = len(set(backbone.strides)) == 1
        self.head = DECODERS[decoder](channels, num_classes, aux, **options)
        self.aux_weights = (0.4,) * len(self.head.aux_maps)
        self.output_names = ("main", *(f"aux{i + 1}" for i in range(len(self.head.aux_maps))))

    def logits(self, F, x):
        maps = self.backbone(x)[::-1]
        main = self.head(*maps)
        return (main,) if self.main_only else (main, *self.head.auxiliaries(maps))
