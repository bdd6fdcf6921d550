"""The validation of a run, shared out over its group."""

import math

import cv2
import mxnet as mx
import numpy as np

from ..data import Part
from ..description import IGNORE
from ..errors import UsageError
from ..inference.evaluator import run
from ..metrics import Accuracy
from ..metrics.base import Metric
from .signals import Interrupted, Until


def validate(backend, dataset, protocol, group, stop, path, loss):
    """The scores of a network on a data set, the same for all workers.

    Args:
        backend, protocol: see :func:`mxnetseg.inference.evaluator.run`.
        group: a Group; each worker takes its share of the images.
        stop, path: Signals and the saved run, for Interrupted.
        loss: the Loss of the training, for ``validation_loss``.
    """
    lost = MainLoss(dataset.info, loss)
    if group.size == 1:
        metrics = [Accuracy(dataset.info), lost]
        return run(backend, Until(dataset, stop, path), protocol, metrics)
    if len(dataset) < group.size:
        raise UsageError(
            f"{group.size} workers cannot share {len(dataset)} images: validate on more, train "
            "with --no-val, or take fewer workers."
        )
    metric, result = _Counts(dataset.info), {}
    try:
        share = Until(Part(dataset, group.rank, group.size), stop, path)
        result = run(backend, share, protocol, [metric, lost])
    except Interrupted:
        pass  # not all may have noticed: the sum tells them
    if group.meet(stop)[0]:
        stop.reacted()
        raise Interrupted(path, stop.number)
    return {**result, **metric.summed(group), **lost.summed(group)}


class _Counts(Accuracy):
    """Accuracy that has no result before all counts are summed."""

    def result(self):
        return {}

    def summed(self, group):
        """The scores of all workers' images."""
        self.matrix.counts = group.sum(self.matrix.counts).astype("int64")
        self.matrix.unanswered = group.sum(self.matrix.unanswered).astype("int64")
        return super().result()


class MainLoss(Metric):
    """The main output's part of the training's loss, of images that are not trained on.

    It is the mean over images, or over the protocol's windows: of each the loss by itself, weighing
    as much as all its valid pixels do. For cross entropy that is the mean over all valid pixels of
    the split, with class weights the weighted one. Mirror images and further scales do not count;
    where the protocol resizes images, masks are resized alike, by the nearest pixel.

    Args:
        loss: the Loss of the training.
    """

    name = "validation_loss"
    needs_logits = True
    counted = ("total", "weight")

    def __init__(self, description, loss):
        super().__init__(description)
        self.loss, self.total, self.weight = loss.of_main_output(), 0.0, 0.0

    def update(self, classes, mask, sample, windows):
        for window in windows:
            label = _label(mask, window)
            weight = float(self.loss.normalizer([label])[0])  # of Totals
            if weight:
                logits = mx.nd.array(window.logits[None])
                (value,) = self.loss([[logits]], [mx.nd.array(label, dtype="uint8")])
                self.total += weight * float(value.asscalar())
                self.weight += weight
        return {}

    def result(self):
        mean = self.total / self.weight if self.weight else math.nan
        return {self.name: mean if math.isfinite(mean) else None}

    def summed(self, group):
        """The mean over all workers' images."""
        self.total, self.weight = group.sum([self.total, self.weight]).tolist()
        return self.result()


def _label(mask, window):
    """The mask (1, height, width) of a window's input; its padding is ignored."""
    height, width = window.size
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    part = mask[slice(*window.rows), slice(*window.columns)]
    label = np.full((1, *window.padded), IGNORE, np.uint8)
    top, left = window.before
    label[0, top : top + part.shape[0], left : left + part.shape[1]] = part
    return label
