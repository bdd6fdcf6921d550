"""How often a pixel is right, near the boundaries of the truth and away from them."""

import cv2
import numpy as np

from .base import Metric, number
from .confusion import divide

EDGES = (1, 2, 3, 5, 9, 17, 33, 65)  # the first distance of each range, in pixels
NEAR = 3  # so many ranges, up to 4 pixels, are "near"


class BoundaryDistance(Metric):
    """Accuracy over the distance of a pixel from the next label in the truth.

    The distance is counted in 3 x 3 steps: 1 is a pixel that touches another label. Ignored pixels
    are a label of their own here (some data sets mark outlines with them), the outside of the image
    is not. The distances fall into ranges that double: 1, 2, 3-4, 5-8 ... 33-64, and beyond.
    """

    name = "boundary_distance"
    counted = ("pixels", "right")

    def __init__(self, description):
        super().__init__(description)
        shape = description.num_classes, len(EDGES)
        self.pixels, self.right = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def update(self, classes, mask, sample):
        ranges = range_of_distance(mask)
        hit = classes == mask
        pixels, right = self._count(mask, ranges, None), self._count(mask, ranges, hit)
        self.pixels += pixels
        self.right += right
        return {"accuracy_near_boundary": _share(right[:, :NEAR], pixels[:, :NEAR])}

    def _count(self, mask, ranges, where):
        """int64 (num_classes, ranges): the labelled pixels, of them those that ``where`` marks."""
        n, width = self.description.num_classes, len(EDGES)
        index = mask.astype(np.intp) * width + ranges
        index = index[(mask < n) if where is None else (mask < n) & where]
        return np.bincount(index, minlength=n * width).reshape(n, width)

    def result(self):
        pixels, right = self.pixels.sum(axis=0), self.right.sum(axis=0)
        near, far = slice(None, NEAR), slice(NEAR, None)
        return {
            "accuracy_near_boundary": number(_share(right[near], pixels[near])),
            "accuracy_of_interior": number(_share(right[far], pixels[far])),
            "boundary_distance": [
                {"from": low, "to": high, "pixels": int(count), "accuracy": number(accuracy)}
                for low, high, count, accuracy in zip(
                    EDGES, [*(e - 1 for e in EDGES[1:]), None], pixels, divide(right, pixels)
                )
            ],
            "classes": self.per_class(
                accuracy_near_boundary=divide(
                    self.right[:, near].sum(axis=1), self.pixels[:, near].sum(axis=1)
                ),
                accuracy_of_interior=divide(
                    self.right[:, far].sum(axis=1), self.pixels[:, far].sum(axis=1)
                ),
            ),
        }


def _share(right, pixels):
    return float(divide(right.sum(), pixels.sum()))


def range_of_distance(mask):
    """The index in EDGES of every pixel's distance from the next label: uint8 (H, W)."""
    mask = np.ascontiguousarray(mask)
    square = np.ones((3, 3), np.uint8)
    inside = (cv2.dilate(mask, square) == cv2.erode(mask, square)).astype(np.uint8)
    if inside.all():
        return np.full(mask.shape, len(EDGES) - 1, np.uint8)
    steps = cv2.distanceTransform(inside, cv2.DIST_C, 3)
    table = np.searchsorted(EDGES, np.arange(256) + 1, side="right") - 1
    return cv2.LUT(np.minimum(steps, 255).astype(np.uint8), table.astype(np.uint8))
