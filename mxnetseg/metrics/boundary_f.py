"""Boundary F (BF score): whether outlines lie where they should, within a tolerance."""

import math

import cv2
import numpy as np

from ..description import IGNORE
from .base import Metric, number
from .confusion import divide, mean

TOLERANCE = 0.0075  # of the image's diagonal


class BoundaryF(Metric):
    """F-measure of the class boundaries of every image, averaged over the images.

    The boundary of a class are its pixels that touch (diagonals too) another class; ignored pixels
    and the image's edge make no boundary, and predictions under ignored pixels do not count. For a
    class of an image precision is the share of the predicted boundary that lies less than 0.75 % of
    the image's diagonal from the true one, recall the share of the true one that lies so near to
    the predicted one, F = 2 x precision x recall / (precision + recall). An image's score is the
    mean over the classes that have a boundary in truth or prediction, the score the mean over the
    images, that of a class the mean over its images.

    Paper: Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.
    """

    name = "boundary_f"

    def __init__(self, description):
        super().__init__(description)
        self.sums = np.zeros(description.num_classes)
        self.images = np.zeros(description.num_classes, np.int64)
        self.total, self.scored = 0.0, 0

    def update(self, classes, mask, sample):
        tolerance = TOLERANCE * math.hypot(*mask.shape)
        truth, found = np.ascontiguousarray(mask), classes.copy()
        found[truth == IGNORE] = IGNORE
        truth, found = boundary(truth), boundary(found)
        scores = np.full(len(self.sums), np.nan)
        for k in set(np.unique(truth)) | set(np.unique(found)):
            if k != IGNORE:
                scores[k] = f_measure(truth == k, found == k, tolerance)
        has = ~np.isnan(scores)
        self.sums[has] += scores[has]
        self.images += has
        score = mean(scores)
        if has.any():
            self.total += score
            self.scored += 1
        return {"boundary_f": score}

    def result(self):
        return {
            "boundary_f": number(float(divide(self.total, self.scored))),
            "classes": self.per_class(boundary_f=divide(self.sums, self.images)),
        }

    def counts(self):
        return {
            "sums": self.sums.tolist(),
            "images": self.images.tolist(),
            "total": self.total,
            "scored": self.scored,
        }

    def add(self, counts):
        self.sums += counts["sums"]
        self.images += counts["images"]
        self.total += counts["total"]
        self.scored += counts["scored"]


def boundary(labels):
    """The label where a pixel touches another label, else 255; 255 touches nothing.

    Args:
        labels: uint8 (H, W).
    """
    square = np.ones((3, 3), np.uint8)
    # as neighbours ignored pixels neither raise the largest label nor lower the smallest
    highest = cv2.dilate(np.where(labels == IGNORE, np.uint8(0), labels), square)
    lowest = cv2.erode(labels, square)
    return np.where((highest != labels) | (lowest != labels), labels, np.uint8(IGNORE))


def f_measure(truth, found, tolerance):
    """F-measure of two sets of pixels, bool (H, W), that match within ``tolerance`` pixels."""
    n_truth, n_found = np.count_nonzero(truth), np.count_nonzero(found)
    if not (n_truth and n_found):
        return 0.0
    window = _around(truth | found)
    truth, found = truth[window], found[window]
    hits = np.count_nonzero(_distance(truth)[found] < tolerance)
    recalled = np.count_nonzero(_distance(found)[truth] < tolerance)
    precision, recall = hits / n_found, recalled / n_truth
    return 2 * precision * recall / (precision + recall) if hits and recalled else 0.0


def _around(pixels):
    """The smallest window that holds all pixels of a set."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _distance(pixels):
    """Euclidean distance to the nearest pixel of a set."""
    return cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
