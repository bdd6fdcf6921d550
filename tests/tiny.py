"""A network and a data set that are small enough to be scored by slow reference code."""

from dataclasses import dataclass

import mxnet as mx
import numpy as np
from mxnet.gluon import nn

from mxnetseg.data import Sample
from mxnetseg.description import Description, unnamed
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.models import SegmentationModel
from mxnetseg.nn import ConvUnit, conv2d

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TinyNet(SegmentationModel):
    """Logits at a quarter of the size, from a little context; an auxiliary head beside them."""

    output_names = ("main", "aux")
    aux_weights = (0.4,)

    def __init__(self, num_classes, align_corners=True, divisor=1, gain=3.0):
        super().__init__(num_classes)
        self.align_corners, self.size_divisor = align_corners, divisor
        self.gain = gain
        self.body = nn.HybridSequential()
        self.body.add(ConvUnit(3, 8, 3, stride=2), ConvUnit(8, 8, 3, stride=2))
        self.head = conv2d(8, num_classes, 3)
        self.aux_head = conv2d(8, num_classes)

    def logits(self, F, x):
        x = self.body(x)
        return (self.head(x) * self.gain, self.aux_head(x))


def tiny_net(num_classes=5, seed=0, contexts=None, **options):
    mx.random.seed(seed)
    net = TinyNet(num_classes, **options)
    net.initialize(ctx=contexts)
    rng = np.random.RandomState(seed)
    for name, parameter in net.collect_params().items():
        if name.endswith(("running_mean", "beta", "bias")):
            parameter.set_data(mx.nd.array(rng.normal(0, 0.3, parameter.shape)))
    return net


def backend(net=None, contexts=None, fuse=True):
    return MXNetBackend(net or tiny_net(), contexts or [mx.cpu()], MEAN, STD, fuse)


def description(num_classes=5, **facts):
    """A Description without names."""
    defaults = dict(
        name="tiny",
        classes=unnamed(num_classes),
        palette=(np.arange(num_classes * 3).reshape(-1, 3) * 10 + 20).astype(np.uint8),
        void_color=(0, 0, 0),
        mean=MEAN,
        std=STD,
        max_value=None,
        scales=(),
    )
    return Description(**{**defaults, **facts})


@dataclass(frozen=True, eq=False)
class Info(Description):
    inverse: np.ndarray


def image(height, width, seed=0):
    """Smooth coloured noise, so that classes form areas."""
    rng = np.random.default_rng(seed)
    small = rng.random((height // 6 + 2, width // 6 + 2, 3))
    rows = np.linspace(0, small.shape[0] - 1.001, height)
    columns = np.linspace(0, small.shape[1] - 1.001, width)
    big = small[rows.astype(int)][:, columns.astype(int)]
    return (255 * (0.8 * big + 0.2 * rng.random((height, width, 3)))).astype(np.uint8)


def normalise(pixels):
    """uint8 (H, W, 3) -> float32 (1, 3, H, W)."""
    x = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return x.transpose(2, 0, 1)[None]


class Images:
    """A data set in memory, of images of several sizes."""

    def __init__(self, sizes=((32, 48), (45, 37), (29, 61)), num_classes=5, masks=True):
        self.split = "val"
        inverse = [k + 7 if k < num_classes else 0 for k in range(256)]
        self.info = Info(**vars(description(num_classes)), inverse=np.array(inverse, np.uint8))
        self.names = [f"town/a.b_{k}.jpg" for k in range(len(sizes))]
        self.samples = []
        for k, (name, size) in enumerate(zip(self.names, sizes)):
            mask = None
            if masks:
                mask = np.random.default_rng(k).integers(0, num_classes - 1, size).astype(np.uint8)
                mask[:3] = 255
            self.samples.append(Sample(image(*size, seed=k), mask, name))

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]
