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
        unanswered: int64 (num_classes,): labelled pixels for which the prediction names no class.
    """

    def __init__(self, num_classes):
        if not 1 <= num_classes <= IGNORE:
            raise ValueError(f"num_classes must be in 1..{IGNORE}, not {num_classes}")
        self.num_classes = num_classes
        self.counts = np.zeros((num_classes, num_classes), np.int64)
        self.unanswered = np.zeros(num_classes, np.int64)

    def update(self, prediction, mask):
        """Add an image.

        Args:
            prediction: uint8 (H, W), classes; 255 names none, which is wrong where the mask has a
                class.
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
            silent = np.bincount(mask[prediction == IGNORE], minlength=256)[: self.num_classes]
            if counts.sum() + silent.sum() != valid:
                raise self._wrong(prediction, mask)
            self.unanswered += silent
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
            found = np.unique(prediction[(mask != IGNORE) & (prediction != IGNORE)])
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
        self.unanswered += other.unanswered

    # --- scores: NaN where there is nothing to divide by ----------------------------------------

    @property
    def hits(self):
        """Per class, the pixels that are right."""
        return np.diag(self.counts)

    @property
    def labelled(self):
        """Per class, the pixels of the truth."""
        return self.counts.sum(axis=1) + self.unanswered

    @property
    def predicted(self):
        """Per class, the labelled pixels that are predicted as it."""
        return self.counts.sum(axis=0)

    @property
    def pixels(self):
        """Labelled pixels."""
        return int(self.labelled.sum())

    @property
    def pixel_accuracy(self):
        """Share of the labelled pixels with the right class."""
        return float(divide(self.hits.sum(), self.labelled.sum()))

    @property
    def class_accuracy(self):
        """Recall: per class, the share of its pixels that were found; NaN without a label."""
        return divide(self.hits, self.labelled)

    @property
    def mean_accuracy(self):
        """Mean of class_accuracy over the classes that occur in the labels."""
        return mean(self.class_accuracy)

    @property
    def precision(self):
        """Per class, the share of its predictions that are right; NaN without a prediction."""
        return divide(self.hits, self.predicted)

    @property
    def mean_precision(self):
        """Mean precision over the classes that are predicted."""
        return mean(self.precision)

    @property
    def iou(self):
        """Intersection over union per class; NaN if neither labels nor predictions have it."""
        return divide(self.hits, self.labelled + self.predicted - self.hits)

    @property
    def miou(self):
        """Mean IoU over the classes that occur in the labels or the predictions."""
        return mean(self.iou)

    @property
    def miou_all(self):
        """Mean IoU over all classes; one that occurs nowhere counts as 0, as in GluonCV."""
        return float(np.nan_to_num(self.iou).mean())

    @property
    def dice(self):
        """2 x intersection / (labelled + predicted) per class, also called F1; NaN as in iou."""
        return divide(2 * self.hits, self.labelled + self.predicted)

    @property
    def mean_dice(self):
        """Mean Dice over the classes that occur in the labels or the predictions."""
        return mean(self.dice)

    @property
    def frequency_weighted_iou(self):
        """IoU weighted by the share of each class in the labels."""
        share = divide(self.labelled, self.labelled.sum())
        return float(np.nansum(share * np.nan_to_num(self.iou))) if self.pixels else float("nan")


def divide(a, b):
    """a / b in float64; NaN where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(a, np.float64) / np.asarray(b, np.float64)


def mean(values):
    """Mean over what is not NaN; NaN if nothing is left."""
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
