"""Logits on the host: upsampled to any size in strips that stay in the cache, and their arg-max.

That costs less than moving the upsampled logits through memory even once.
"""

from typing import NamedTuple

import numpy as np

from ..errors import MXNetSegError
from ..resample import Resize, chain, interpolation, parallel, strips


def read(logits):
    """Logits on a device -> NumPy; MXNetSegError if they are not finite."""
    values = logits.asnumpy()
    if not np.isfinite(values).all():
        raise MXNetSegError(
            "The network's scores are not finite: its parameters are damaged or its training "
            "diverged. Train with a lower optim.lr, or take another checkpoint."
        )
    return values


class Logits(NamedTuple):
    """The logits of one image at the network's resolution, and how they become its size.

    Attributes:
        values: float32 (C, h, w).
        resize: Resize to the size of the image.
    """

    values: np.ndarray
    resize: Resize

    def strip(self, start, stop):
        """Logits of the image's rows [start, stop), float32 (C, rows, W), a new array."""
        return self.resize.strip(self.values, start, stop)


def logits_of(values, padded, size, align_corners, mirrored=None, before=(0, 0), then=None):
    """Logits for the image's own pixels.

    Args:
        values: (C, h, w) as the network gave them for an input of size ``padded``.
        size: (H, W) of the image in that input. before: rows and columns above and left of it.
        mirrored: the width that was mirrored; the logits are mirrored back.
        then: two of resample.Axis: how the image's scores are resized afterwards.
    """
    (top, left), (bottom, right) = before, (before[0] + size[0], before[1] + size[1])
    axes = [
        interpolation(values.shape[1], padded[0], align_corners, bottom, first=top),
        interpolation(
            values.shape[2],
            padded[1],
            align_corners,
            mirrored or right,
            bool(mirrored),
            right,
            left,
        ),
    ]
    if then is not None:
        axes = [chain(a, b) for a, b in zip(axes, then)]
    return Logits(values, Resize(*axes))


def argmax_into(scores, out):
    """Index of the largest of ``scores`` (C, h, w) per pixel into uint8 ``out`` (h, w).

    The first of equals wins, as in NumPy.

    Returns:
        The largest scores (h, w).
    """
    best = scores[0].copy()
    out[...] = 0
    better = np.empty(best.shape, bool)
    index = better.view(np.uint8)
    for k in range(1, len(scores)):
        np.greater(scores[k], best, out=better)
        np.multiply(index, np.uint8(k), out=index)
        np.maximum(out, index, out=out)  # k only grows
        np.maximum(best, scores[k], out=best)
    return best


def argmax(logits, confidence=None):
    """Class map uint8 (H, W) of :class:`Logits`.

    Args:
        confidence: float32 (H, W), is filled with the largest soft-max.
    """
    height, width = logits.resize.shape
    out = np.empty((height, width), np.uint8)

    def work(start, stop):
        scores = logits.strip(start, stop)
        best = argmax_into(scores, out[start:stop])
        if confidence is not None:
            scores -= best
            np.exp(scores, out=scores)
            np.divide(1, scores.sum(axis=0), out=confidence[start:stop])

    parallel(work, strips(height, len(logits.values) * width))
    return out
