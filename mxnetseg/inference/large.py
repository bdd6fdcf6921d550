"""Class maps of images of any size: very large ones in blocks, so that memory stays flat."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from . import merge
from .protocol import WHOLE_PIXELS

BLOCK = 1536  # side of a block that the network sees, after scaling
MARGIN = 128  # pixels at its inner sides that only give context, after scaling


def classify(backend, image, protocol, context=0, confidence=False):
    """The class map of an image and, if asked for, how sure it is.

    An image that has more than seven million pixels when it is scaled goes through the protocol in
    overlapping blocks; of each, the middle is kept. Beside the image and its class map that takes
    the memory of one block. So with a small ``base_size`` a large image is scaled as a whole.

    Args:
        image: uint8 (H, W, 3), RGB. The others: see :func:`~mxnetseg.inference.merge.classify`.

    Returns:
        uint8 (H, W), the classes; and uint8 (H, W), 255 times the largest soft-max, or None.
    """
    height, width = image.shape[:2]
    scaled = protocol.scaled_size(height, width, max(protocol.scales))
    if scaled[0] * scaled[1] <= WHOLE_PIXELS:
        classes, sure = merge.classify(
            backend, image, protocol, context=context, confidence=confidence
        )
        return classes, _grey(sure)
    factor = max(scaled) / max(height, width)
    margin = math.ceil(MARGIN / factor)
    block = max(
        4 * margin, int(BLOCK / factor), math.ceil(max(protocol.crop_size or (1,)) / factor)
    )
    classes = np.empty((height, width), np.uint8)
    sure = np.empty((height, width), np.uint8) if confidence else None
    if protocol.base_size:  # the same factor for a block
        long_side = max(min(height, block), min(width, block))
        base = round(protocol.base_size * long_side / max(height, width))
        protocol = replace(protocol, base_size=max(1, base))
    for top in cuts(height, block, margin):
        for left in cuts(width, block, margin):
            part = image[top.start : top.stop, left.start : left.stop]
            found = merge.classify(backend, part, protocol, context=context, confidence=confidence)
            kept = top.inside, left.inside
            classes[top.first : top.last, left.first : left.last] = found[0][kept]
            if confidence:
                sure[top.first : top.last, left.first : left.last] = _grey(found[1][kept])
    return classes, sure


class Cut(NamedTuple):
    """A block along one axis: [start, stop) is seen, [first, last) is kept."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def inside(self):
        """What is kept, counted from the block's start."""
        return slice(self.first - self.start, self.last - self.start)


def cuts(length, block, margin):
    """The Cuts over 0 ... length.

    All blocks are of the same size, and what is kept is ``margin`` or more from their inner ends.
    """
    if length <= block:
        return [Cut(0, length, 0, length)]
    step = block - 2 * margin
    count = -(-(length - 2 * margin) // step)
    starts = [min(k * step, length - block) for k in range(count)]
    ends = [(a + block + b) // 2 for a, b in zip(starts, starts[1:])]
    return [
        Cut(start, start + block, first, last)
        for start, first, last in zip(starts, [0, *ends], [*ends, length])
    ]


def _grey(confidence):
    return None if confidence is None else (255 * confidence + 0.5).astype(np.uint8)
