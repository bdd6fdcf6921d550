"""Scores of predictions against masks."""

from ..registry import unknown
from .accuracy import Accuracy
from .base import Metric
from .bootstrap import Bootstrap
from .boundary_distance import BoundaryDistance
from .boundary_f import BoundaryF
from .boundary_iou import BoundaryIoU
from .calibration import Calibration
from .cityscapes import Cityscapes
from .confusion import ConfusionMatrix

__all__ = ["Accuracy", "ConfusionMatrix", "METRICS", "Metric", "create"]

METRICS = {
    "accuracy": Accuracy,  # the first five are of one confusion matrix
    "dice": Accuracy,
    "precision": Accuracy,
    "recall": Accuracy,
    "frequency_weighted_iou": Accuracy,
    "boundary_iou": BoundaryIoU,
    "boundary_f": BoundaryF,
    "boundary_distance": BoundaryDistance,
    "calibration": Calibration,
    "bootstrap": Bootstrap,
    "cityscapes": Cityscapes,
}


def create(chosen, dataset, with_scores=True):
    """The metrics of an evaluation: Accuracy, and those that are asked for, each once.

    Args:
        chosen: names of :data:`METRICS`, or "all" that fit. dataset: has ``info``.
        with_scores: whether there is a network that says how sure it is.

    Raises:
        UsageError: there is no such metric, or the data set does not have what it needs.
    """
    if "all" in chosen:
        fitting = (n for n, kind in METRICS.items() if kind.fits(dataset.info))
        every = [n for n in fitting if with_scores or not METRICS[n].needs_scores]
        chosen = [n for name in chosen for n in (every if name == "all" else [name])]
    for name in chosen:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    kinds = dict.fromkeys([Accuracy, *(METRICS[name] for name in chosen)])
    return [kind.of(dataset) for kind in kinds]
