"""Losses per pixel of logits that are enlarged to the labels on the way."""

import math

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from ..description import IGNORE
from ..errors import UsageError
from ..nn import interpolation_matrix
from ..runtime import on_host
from .host import WeightedSum, pixel_losses


class PixelWeights:
    """The weight of a pixel: that of its label.

    Args:
        class_weights: one number per class, or None for 1.
    """

    def __init__(self, num_classes, class_weights=None):
        if class_weights is not None and len(class_weights) != num_classes:
            raise UsageError(
                f"loss.class_weights has {len(class_weights)} numbers for "
                f"{num_classes} classes. Give one per class."
            )
        self._table = np.full(256, math.nan, np.float32)
        self._table[:num_classes] = 1 if class_weights is None else class_weights
        self._table[IGNORE] = 0
        self._tables = {}  # one on each device, so that a step copies none

    def __call__(self, label):
        """Labels (N, H, W) -> two weights (H, N, W), 0 where the label is IGNORE.

        Where it is neither a class nor that, the first is NaN and the second 1.
        """
        with autograd.pause():
            if on_host(label.context):
                index = label.asnumpy().astype(np.uint8, copy=False).transpose(1, 0, 2)
                weight = self._table.take(index)
                valid = not np.isnan(weight).any()
                weight = mx.nd.array(weight, ctx=label.context)
                if valid:
                    return weight, weight
            else:
                index = mx.nd.transpose(label, axes=(1, 0, 2)).astype("int32")
                weight = mx.nd.take(self._on(label.context), index)
            return weight, mx.nd.where(weight == weight, weight, mx.nd.ones_like(weight))

    def _on(self, context):
        if context not in self._tables:
            self._tables[context] = mx.nd.array(self._table, ctx=context)
        return self._tables[context]


class PixelCrossEntropy:
    """-log softmax at the label, per pixel or summed.

    Args:
        align_corners: how the logits are enlarged to the labels.
    """

    def __init__(self, align_corners=True):
        self._align_corners = align_corners
        self._graph = CrossEntropyGraph(align_corners)
        self._graph.hybridize(static_alloc=True)

    def losses(self, logits, label):
        """Logits (N, C, h, w) and labels (N, H, W) -> (H, N, W), without a gradient.

        Where the label is no class the value means nothing.
        """
        with autograd.pause():
            if on_host(logits.context):
                return pixel_losses(logits, label, self._align_corners)
            return self._graph(logits, label)

    def weighted_sum(self, logits, label, weight):
        """The sum (1,) of weight (H, N, W) x loss; its gradient goes to the logits."""
        if on_host(logits.context):
            return WeightedSum(label, weight, self._align_corners)(logits)
        return total_of(self._graph(logits, label) * weight)


class CrossEntropyGraph(gluon.HybridBlock):
    """-log softmax at the label without weights, of operators: for GPUs.

    With the classes last it costs half of what enlarging and then taking the softmax over axis 1
    does.
    """

    def __init__(self, align_corners):
        super().__init__()
        self._align_corners = align_corners

    def hybrid_forward(self, F, logits, label):
        label = F.cast(F.transpose(label, axes=(1, 0, 2)), "float32")  # (H, N, W)
        z = _enlarged(F, logits, label, self._align_corners)
        return -F.pick(F.log_softmax(z, axis=-1), label, axis=-1)


class PixelBoundary(gluon.HybridBlock):
    """Binary cross entropy per pixel.

    Logits (N, 1, h, w) and targets 0 or 1 (N, H, W) -> losses, targets and logits, all (H, N, W).
    """

    def __init__(self, align_corners=True):
        super().__init__()
        self._align_corners = align_corners

    def hybrid_forward(self, F, logits, target):
        target = F.cast(F.transpose(target, axes=(1, 0, 2)), "float32")
        z = _enlarged(F, logits, target, self._align_corners)
        z = F.reshape(z, (0, 0, 0))  # the one channel goes
        loss = F.relu(z) - z * target + F.Activation(-F.abs(z), act_type="softrelu")
        return loss, target, z


def _enlarged(F, logits, like, align_corners):
    """Logits (N, C, h, w) at the size of ``like`` (H, N, W): (H, N, W, C)."""
    rows = interpolation_matrix(F, logits, 2, like, 0, align_corners)
    columns = interpolation_matrix(F, logits, 3, like, 2, align_corners)
    z = F.dot(columns, F.transpose(logits, axes=(3, 2, 0, 1)))  # (W, h, N, C)
    return F.dot(rows, F.transpose(z, axes=(1, 2, 0, 3)))


def total_of(x):
    """The sum (1,) of an array, as a product: five times as fast as MXNet's sum on a CPU."""
    flat = x.reshape(-1)
    return mx.nd.dot(flat, mx.nd.ones_like(flat))
