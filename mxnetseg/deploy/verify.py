"""Whether an exported file does what the network does, measured on images of three sizes."""

from typing import NamedTuple, Tuple

import cv2
import mxnet as mx
import numpy as np

from ..errors import MXNetSegError
from ..inference.backend import TOLERANCE
from ..inference.logits import logits_of
from ..nn import Normalize

NOISE = 1e-6  # on the normalised image, where the network amplifies rounding
DRAWS = 4  # of noise
NOISE_FACTOR = 10  # rounding happens in every layer, the noise comes in only once

SIZES = ((1, 72, 104), (1, 128, 88), (2, 131, 197))  # N, H, W, before the network's own rules


class Report(NamedTuple):
    """What a verification found.

    Attributes:
        sizes: (N, H, W) of the images.
        difference: the largest, as a share of the logits' standard deviation.
        allowed: the tolerance there: 1e-3, or what the network itself makes of a little noise.
    """

    sizes: Tuple[Tuple[int, int, int], ...]
    difference: float
    allowed: float

    def __str__(self):
        sizes = ", ".join(f"{n} x {h}x{w}" for n, h, w in self.sizes)
        return (
            f"at {sizes}: largest difference {self.difference:.1e} of the logits' standard "
            f"deviation (allowed: {self.allowed:.0e})"
        )


def verify(run, net, description, rules):
    """Hold a file against its network.

    Args:
        run: the file as a function: its input -> its output, both NumPy.
        net: the SegmentationModel. description: of its data.
        rules: of the file, see :func:`about.rules`.

    Returns:
        Report, of the size where the difference is largest as measured by what is allowed.

    Raises:
        MXNetSegError: they differ by more than is allowed.
    """
    normalize = Normalize(description.mean, description.std)
    sizes, found = _sizes(net, rules), []
    for number, (count, height, width) in enumerate(sizes):
        pixels = np.stack([_picture(height, width, net, number + k) for k in range(count)])
        pixels = pixels.astype(rules["input"]["dtype"] if rules["form"] != "logits" else "uint8")
        x = normalize.load(pixels, mx.cpu())
        given = pixels if rules["form"] != "logits" else x.asnumpy()
        logits = _full_logits(net, x)
        output = run(given)
        difference = least_difference(output, logits, rules["form"])
        deviation = float(logits.std()) or 1.0
        allowed = TOLERANCE
        if not difference <= allowed * deviation:
            allowed = max(allowed, NOISE_FACTOR * _moved_by_noise(net, x, logits) / deviation)
        found.append((difference / deviation, allowed))
    difference, allowed = max(found, key=lambda pair: pair[0] / pair[1])
    report = Report(sizes, difference, allowed)
    if not difference <= allowed:
        raise MXNetSegError(f"The exported file does not agree with the network {report}.")
    return report


def _moved_by_noise(net, x, logits):
    """The most by which a little noise moves the network's logits for images x.

    Of several draws: ResNeSt with random weights jumps by a tenth of the deviation in nine of ten.
    """
    noises = (mx.nd.random.normal(0, NOISE, x.shape) for _ in range(DRAWS))
    return max(float(np.abs(_full_logits(net, x + n) - logits).max()) for n in noises)


def least_difference(output, logits, form):
    """The least by which a file's logits must differ from ours, judged by what it gives.

    Args:
        output: of the file. logits: ours, float32 (N, C, H, W).
    """
    if output.shape != (logits.shape if form != "classes" else logits[:, 0].shape):
        return np.inf
    if form == "logits":
        return float(np.abs(output - logits).max())
    if form == "scores":
        # a soft-max changes by at most half of what its logits do
        return float(2 * np.abs(output - _softmax(logits)).max())
    # a class that is not the best one had to rise, and the best one to fall, to the middle
    chosen = np.take_along_axis(logits, output[:, None].astype(np.int64), axis=1)
    return float((logits.max(axis=1, keepdims=True) - chosen).max() / 2)


def _softmax(logits):
    values = np.exp(logits - logits.max(axis=1, keepdims=True))
    return values / values.sum(axis=1, keepdims=True)


def _sizes(net, rules):
    given = rules["input"]
    if given["fixed_size"]:
        return tuple((n, *given["fixed_size"]) for n in (1, 2, 3))
    if rules["form"] == "logits":
        return tuple((n, *net.valid_size(h, w)) for n, h, w in SIZES)
    return SIZES


def _picture(height, width, net, seed):
    """An image with areas and grain, uint8 (H, W, C)."""
    rng = np.random.RandomState(seed)
    coarse = rng.randint(0, 256, (5, 7, net.in_channels)).astype(np.float32)
    areas = np.stack(
        [
            cv2.resize(c, (width, height), interpolation=cv2.INTER_CUBIC)
            for c in coarse.transpose(2, 0, 1)
        ],
        axis=2,
    )
    return np.clip(areas + rng.normal(0, 12, areas.shape), 0, 255).astype(np.uint8)


def _full_logits(net, x):
    """The network's logits (N, C, H, W) for normalised images, upsampled on the host.

    Images of a size that the network does not take are padded first.
    """
    height, width = x.shape[2:]
    padded = net.valid_size(height, width)
    margin = (0, 0, 0, 0, 0, padded[0] - height, 0, padded[1] - width)
    x = mx.nd.pad(x, mode="constant", constant_value=0, pad_width=margin)
    values = net.logits(mx.nd, x)[0].asnumpy()
    return np.stack(
        [logits_of(v, padded, (height, width), net.align_corners).strip(0, height) for v in values]
    )
