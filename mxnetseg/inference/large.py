"""Class maps of images of any size: very large ones in blocks, so that memory stays flat."""

from typing import NamedTuple

import numpy as np

from . import merge
from .protocol import WHOLE_PIXELS

BLOCK = 1536  # side of a block that the network sees, after scaling
MARGIN = 128  # pixels at the inner sides of a block that only give context


def classify(backend, image, protocol, context=0, confidence=False):
    """The class map of an image and, if asked for, how sure it is.

    An image of more than seven million pixels, at the largest scale, goes through the protocol in
    overlapping blocks; of each, the middle is kept. Beside the image and its class map that takes
    the memory of one block. With a ``base_size`` the image is scaled down as a whole.

    Args:
        image: uint8 (H, W, 3), RGB. The others: see :func:`~mxnetseg.inference.merge.classify`.

    Returns:
        uint8 (H, W), the classes; and uint8 (H, W), 255 times the largest soft-max, or None.
    """
    height, width = image.shape[:2]
    scale = max(protocol.scales)
    if protocol.base_size or height * width * scale**2 <= WHOLE_PIXELS:
        classes, sure = merge.classify(
            backend, image, protocol, context=context, confidence=confidence
        )
        return classes, _grey(sure)
    block = max(4 * MARGIN, int(BLOCK / scale), *(protocol.crop_size or ()))
    classes = np.empty((height, width), np.uint8)
    sure = np.empty((height, width), np.uint8) if confidence else None
    for top in cuts(height, block, MARGIN):
        for left in cuts(width, block, MARGIN):
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
