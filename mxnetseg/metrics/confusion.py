"""The confusion matrix and the scores that follow from it."""

import cv2
import numpy as np

from ..description import IGNORE
from ..errors import MXNetSegError

# calcHist returns float32, which counts exactly up to 2**24 only: larger images go in parts.
_EXACT = 1 << 24


class ConfusionMatrix:
    """Counts of (label, prediction) over all pixels of a data set.

    Attributes:
        counts: int64 (num_classes, num_classes); row = label, column = prediction.
    """

    def __init__(self, num_classes):
        if not 1 <= num_classes <= IGNORE:
            raise ValueError(f"num_classes must be in 1..{IGNORE}, not {num_classes}")
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, prediction, mask):
        """Add an image.

        Args:
            prediction: uint8 (H, W), classes.
            mask: uint8 (H, W), classes; 255 is ignored.

        Returns:
            int64 (num_classes, num_classes), the counts of this image.

        Raises:
            MXNetSegError: the sizes differ, or a value is no class.
        """
        if prediction.shape != mask.shape:
            raise MXNetSegError(
                f"The prediction is {prediction.shape[1]}x{prediction.shape[0]} pixels, but the "
                f"mask {mask.shape[1]}x{mask.shape[0]}."
            )
        if prediction.dtype != np.uint8 or mask.dtype != np.uint8:
            raise TypeError(f"uint8 is needed, not {prediction.dtype} and {mask.dtype}")
        rows = max(1, _EXACT // max(1, mask.shape[1]))
        counts = np.zeros_like(self.counts)
        for start in range(0, mask.shape[0], rows):
            part = slice(start, start + rows)
            counts += self._count(prediction[part], mask[part])
        # calcHist passes over what is out of range, so the sum tells whether anything was wrong
        valid = mask.size - np.count_nonzero(mask == IGNORE)
        if counts.sum() != valid:
            raise self._wrong(prediction, mask)
        self.counts += counts
        return counts

    def _count(self, prediction, mask):
        n = self.num_classes
        images = [np.ascontiguousarray(mask), np.ascontiguousarray(prediction)]
        counts = cv2.calcHist(images, [0, 1], None, [n, n], [0, n, 0, n])
        return counts.astype(np.int64).reshape(n, n)

    def _wrong(self, prediction, mask):
        labels = np.unique(mask[mask != IGNORE])
        bad = labels[labels >= self.num_classes]
        what = "The mask"
        if not len(bad):
            found = np.unique(prediction[mask != IGNORE])
            bad, what = found[found >= self.num_classes], "The prediction"
        values = ", ".join(str(v) for v in bad[:8])
        return MXNetSegError(
            f"{what} holds {values}, but the classes are 0-{self.num_classes - 1} and ignored "
            f"pixels are {IGNORE}."
        )

    def merge(self, other):
        """Add the counts of another matrix over the same classes."""
        if other.num_classes != self.num_classes:
            raise ValueError(f"{other.num_classes} classes cannot join {self.num_classes}")
        self.counts += other.counts

    # --- scores: NaN where there is nothing to divide by ----------------------------------------

    @property
    def pixels(self):
        """Counted pixels."""
        return int(self.counts.sum())

    @property
    def pixel_accuracy(self):
        """Share of pixels with the right class."""
        return float(_divide(np.trace(self.counts), self.counts.sum()))

    @property
    def class_accuracy(self):
        """Per class, the share of its pixels that were found; NaN for classes without a label."""
        return _divide(np.diag(self.counts), self.counts.sum(axis=1))

    @property
    def mean_accuracy(self):
        """Mean of class_accuracy over the classes that occur in the labels."""
        return _mean(self.class_accuracy)

    @property
    def iou(self):
        """Intersection over union per class; NaN if neither labels nor predictions have it."""
        hits = np.diag(self.counts)
        return _divide(hits, self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits)

    @property
    def miou(self):
        """Mean IoU over the classes that occur in the labels or the predictions."""
        return _mean(self.iou)

    @property
    def miou_all(self):
        """Mean IoU over all classes; one that occurs nowhere counts as 0, as in GluonCV."""
        return float(np.nan_to_num(self.iou).mean())

    @property
    def frequency_weighted_iou(self):
        """IoU weighted by the share of each class in the labels."""
        share = _divide(self.counts.sum(axis=1), self.counts.sum())
        return float(np.nansum(share * np.nan_to_num(self.iou))) if self.pixels else float("nan")


def _divide(a, b):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(a, np.float64) / np.asarray(b, np.float64)


def _mean(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
