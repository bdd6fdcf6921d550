"""The mIoU of the batches that a network is trained on."""

import math

from ..inference.logits import argmax, logits_of
from ..metrics.confusion import ConfusionMatrix


class TrainingScore:
    """The confusion matrix of the steps since it was asked for last.

    Args:
        net: gives classes and the way logits are enlarged.
    """

    def __init__(self, net):
        self.matrix, self._align_corners = ConfusionMatrix(net.num_classes), net.align_corners

    def add(self, logits, masks):
        """Count what a step said, before it learned from it.

        Args:
            logits: NDArray (N, C, h, w) of the main output.
            masks: uint8 (N, H, W), or (N, 2, H, W) with boundary maps behind.
        """
        masks = masks[:, 0] if masks.ndim == 4 else masks
        size = masks.shape[1:]
        for values, mask in zip(logits.asnumpy(), masks):
            self.matrix.update(argmax(logits_of(values, size, size, self._align_corners)), mask)

    def take(self, group):
        """The mIoU over all workers, None without a labelled pixel; then it begins anew."""
        self.matrix.counts = group.sum(self.matrix.counts).astype("int64")
        miou = self.matrix.miou
        self.matrix = ConfusionMatrix(self.matrix.num_classes)
        return None if math.isnan(miou) else miou
