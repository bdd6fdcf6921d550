"""Calibration: whether a network is right as often as its confidence says."""

import numpy as np

from ..description import IGNORE
from .base import Metric, number
from .confusion import divide

BINS = 15


class Calibration(Metric):
    """Expected calibration error of the pixels, and the data of a reliability diagram.

    Confidence is the largest soft-max of a pixel. Pixels fall into 15 bins of confidence, ((k - 1)
    / 15, k / 15]; the error is the mean over all labelled pixels of the difference between the
    accuracy and the mean confidence of their bin.

    Paper: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """

    name = "calibration"
    needs_scores = True

    def __init__(self, description):
        super().__init__(description)
        self.sums = np.zeros((3, BINS))  # pixels, right ones, confidence

    def update(self, classes, mask, sample, scores):
        labelled = mask != IGNORE
        confidence = scores[labelled].astype(np.float64)
        right = (classes == mask)[labelled]
        index = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        sums = np.stack(
            [np.bincount(index, weights, BINS) for weights in (None, right, confidence)]
        )
        self.sums += sums
        return {"calibration_error": _error(sums)}

    def result(self):
        pixels, right, confidence = self.sums
        bins = zip(range(BINS), pixels, divide(right, pixels), divide(confidence, pixels))
        return {
            "expected_calibration_error": number(_error(self.sums)),
            "reliability": [
                {
                    "from": k / BINS,
                    "to": (k + 1) / BINS,
                    "pixels": int(count),
                    "accuracy": number(accuracy),
                    "confidence": number(confidence),
                }
                for k, count, accuracy, confidence in bins
            ],
        }

    def counts(self):
        pixels, right, confidence = self.sums.tolist()
        return {"pixels": pixels, "right": right, "confidence": confidence}

    def add(self, counts):
        self.sums += [counts["pixels"], counts["right"], counts["confidence"]]


def _error(sums):
    pixels, right, confidence = sums
    return float(divide(np.abs(right - confidence).sum(), pixels.sum()))
