"""Boundary IoU: how well the outlines of the classes are hit."""

import math

import cv2
import numpy as np

from ..description import IGNORE
from .base import Metric, number
from .confusion import divide, mean

WIDTH = 0.02  # of the image's diagonal


class BoundaryIoU(Metric):
    """Intersection over union of what lies near the boundary of a class, in truth and prediction.

    For class c let G and P be its pixels in truth and prediction, ignored pixels in neither, and
    B(M) the pixels of M no further than d from what is not M: M without its erosion by d steps of
    3 x 3, where the outside of the image is not M. d is 0.02 of the image's diagonal, rounded, and
    at least 1. The IoU of c is the sum of |B(G) and B(P)| over the images through that of
    |B(G) or B(P)|.

    Paper: Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR
    2021.
    """

    name = "boundary_iou"
    counted = ("both", "either")

    def __init__(self, description):
        super().__init__(description)
        self.both = np.zeros(description.num_classes, np.int64)
        self.either = np.zeros(description.num_classes, np.int64)

    def update(self, classes, mask, sample):
        distance = max(1, round(WIDTH * math.hypot(*mask.shape)))
        truth, found = np.ascontiguousarray(mask), classes.copy()
        found[truth == IGNORE] = IGNORE
        near_truth, near_found = near_boundary(truth, distance), near_boundary(found, distance)
        common = np.where(truth == found, near_truth & near_found, 0)
        both, a, b = (
            self._histogram(labels, near)
            for labels, near in ((truth, common), (truth, near_truth), (found, near_found))
        )
        self.both += both
        self.either += a + b - both
        return {"boundary_miou": mean(divide(both, a + b - both))}

    def _histogram(self, labels, where):
        counts = cv2.calcHist([labels], [0], where, [256], [0, 256])
        return counts.ravel()[: self.description.num_classes].astype(np.int64)

    def result(self):
        iou = divide(self.both, self.either)
        return {"boundary_miou": number(mean(iou)), "classes": self.per_class(boundary_iou=iou)}


def near_boundary(labels, distance):
    """Where another label, or the outside, is no further than ``distance`` steps (diagonals too).

    That is B(M) of every label at once, because a pixel belongs to one label only.

    Args:
        labels: uint8 (H, W).

    Returns:
        uint8 (H, W), 1 or 0.
    """
    square = np.ones((3, 3), np.uint8)
    inside = (cv2.dilate(labels, square) == cv2.erode(labels, square)).astype(np.uint8)
    inside[0] = inside[-1] = 0
    inside[:, 0] = inside[:, -1] = 0
    # steps to the nearest pixel that touches another label
    steps = cv2.distanceTransform(inside, cv2.DIST_C, 3)
    return (steps < distance).astype(np.uint8)
