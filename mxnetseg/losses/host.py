"""Losses on the host, in strips that stay in the cache.

MXNet's operators move the enlarged logits through memory a dozen times, forward and back, and its
log_softmax takes a value at a time. Here a strip is enlarged, turned into losses and their gradient
and forgotten. That takes a fifth of the time and no memory worth mentioning.
"""

from typing import NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..resample import Resize, interpolation, parallel, strips

STRIP_VALUES = 500_000  # of float32 scores per strip and thread; several arrays of them are in use
STEEP = 80.0  # below the largest logit of a batch; exp of it still is a float32


class WeightedSum(autograd.Function):
    """Sum of weight x loss over all pixels.

    The forward pass makes the gradient as well, if one is recorded: that needs what the losses
    need.

    Args:
        label: (N, H, W).
        weight: (H, N, W).
        align_corners: how the logits are enlarged to the labels.
        variant: of the cross entropy, see :class:`~mxnetseg.losses.pixels.Variant`.
    """

    def __init__(self, label, weight, align_corners, variant):
        super().__init__()
        self._label = label
        self._weight = weight.asnumpy()
        self._align_corners = align_corners
        self._variant = variant
        self._learns = autograd.is_recording()

    def forward(self, logits):
        """Logits (N, C, h, w) -> (1,)."""
        pixels = Strips(logits, self._label, self._align_corners)
        self._gradient = np.zeros(logits.shape, np.float32)
        gamma, smoothing = self._variant

        @np.errstate(invalid="ignore", over="ignore")  # the trainer reports losses that diverge
        def work(n, start, stop):
            weight = self._weight[start:stop, n]
            strip = pixels.strip(n, start, stop, with_mean=smoothing > 0)
            loss, z, slope = strip.loss, strip.exp, weight
            if gamma:
                loss, slope = _focal(loss, gamma)
                slope *= weight
            if not self._learns:
                if smoothing:
                    loss += smoothing * (strip.at_label - strip.mean)
                return (loss * weight).sum(dtype=np.float64), (0, 0, 0)
            z *= slope / strip.sum
            if smoothing:
                loss += smoothing * (strip.at_label - strip.mean)
                z -= slope * (smoothing / len(z))
                slope = slope * (1 - smoothing)
            z.ravel()[strip.index] -= slope
            loss *= weight
            return loss.sum(dtype=np.float64), pixels.resize.transposed_strip(z, start, stop)

        sums = parallel(work, pixels.strips)
        for (n, _, _), (_, (first, last, part)) in zip(pixels.strips, sums):
            self._gradient[n, :, first:last] += part
        return mx.nd.array([sum(value for value, _ in sums)], ctx=logits.context)

    def backward(self, gradient):
        """The gradient of the logits."""
        return gradient.reshape((1, 1, 1, 1)) * mx.nd.array(self._gradient, ctx=gradient.context)


def _focal(loss, gamma):
    """(1 - p)^gamma x loss, and its slope with respect to the loss = -log p."""
    rest = -np.expm1(-loss)  # 1 - p
    power = rest**gamma
    slope = loss / np.maximum(rest, 1e-12)  # towards 1 where the loss vanishes
    slope *= gamma * (1 - rest)
    slope += 1
    slope *= power
    return power * loss, slope


class RegionSums(autograd.Function):
    """What classes and labels have in common, summed over all pixels.

    Args:
        label: (N, H, W).
        valid: (H, N, W), 1 or 0.
        exponent: of the probabilities in the second row.
        align_corners: how the logits are enlarged to the labels.
    """

    def __init__(self, label, valid, exponent, align_corners):
        super().__init__()
        self._label, self._valid = label, valid.asnumpy()
        self._exponent, self._align_corners = exponent, align_corners

    def forward(self, logits):
        """Logits (N, C, h, w) -> (3, C).

        Per class: the sum of its probability where it is the label, that of its probability **
        exponent anywhere, and the number of its pixels.
        """
        self._pixels = pixels = Strips(logits, self._label, self._align_corners)
        classes = logits.shape[1]

        @np.errstate(invalid="ignore", over="ignore")
        def work(n, start, stop):
            p, label, valid = self._probabilities(n, start, stop)
            hit = np.take_along_axis(p, label[None], 0)[0] * valid
            if self._exponent != 1:
                p **= self._exponent
            return np.stack(
                [
                    np.bincount(label.ravel(), hit.ravel(), classes),
                    p.reshape(classes, -1) @ valid.ravel(),
                    np.bincount(label.ravel(), valid.ravel(), classes),
                ]
            )

        return mx.nd.array(sum(parallel(work, pixels.strips)), ctx=logits.context)

    def backward(self, gradient):
        """The gradient of the logits, of that of the sums (3, C)."""
        pixels, slopes = self._pixels, gradient.asnumpy()
        result = np.zeros(pixels.logits.shape, np.float32)

        @np.errstate(invalid="ignore", over="ignore")
        def work(n, start, stop):
            p, label, valid = self._probabilities(n, start, stop)
            g = p**self._exponent * (self._exponent * slopes[1])[:, None, None]  # p dL/dp
            at_label = np.take_along_axis(p, label[None], 0) * slopes[0][label]
            at_label += np.take_along_axis(g, label[None], 0)
            np.put_along_axis(g, label[None], at_label, 0)
            p *= g.sum(axis=0)
            g -= p
            g *= valid
            return pixels.resize.transposed_strip(g, start, stop)

        parts = parallel(work, pixels.strips)
        for (n, _, _), (first, last, part) in zip(pixels.strips, parts):
            result[n, :, first:last] += part
        return mx.nd.array(result, ctx=gradient.context)

    def _probabilities(self, n, start, stop):
        """(C, rows, W), and labels and validity (rows, W) of a strip."""
        strip = self._pixels.strip(n, start, stop)
        p = strip.exp
        p /= strip.sum
        label = np.minimum(self._pixels.label[n, start:stop], len(p) - 1).astype(np.int64)
        return p, label, self._valid[start:stop, n]


class Given(autograd.Function):
    """A number whose gradient is known already.

    Args:
        value: of a scalar.
        gradient: of the same shape as the input.
    """

    def __init__(self, value, gradient):
        super().__init__()
        self._value, self._gradient = value, gradient

    def forward(self, x):
        """Anything -> (1,)."""
        return mx.nd.array([self._value], ctx=x.context)

    def backward(self, gradient):
        """The gradient of the input."""
        given = mx.nd.array(self._gradient, ctx=gradient.context)
        return mx.nd.broadcast_mul(given, gradient.reshape((1,) * given.ndim))


def pixel_losses(logits, label, align_corners):
    """-log softmax at the label: logits (N, C, h, w), labels (N, H, W) -> (H, N, W)."""
    pixels = Strips(logits, label, align_corners)
    count, height, width = label.shape
    losses = np.empty((height, count, width), np.float32)

    @np.errstate(invalid="ignore", over="ignore")
    def work(n, start, stop):
        losses[start:stop, n] = pixels.strip(n, start, stop).loss

    parallel(work, pixels.strips)
    return mx.nd.array(losses, ctx=logits.context)


class Strip(NamedTuple):
    """Rows of one image.

    Attributes:
        loss: (rows, W), -log softmax at the label. Labels that are no class count as the last one.
        exp: (C, rows, W), exp of the logits less something that all classes share.
        sum: (rows, W), of exp over the classes.
        index: where in the flat exp the labels' values are.
        at_label, mean: (rows, W), of the logits less the same; the mean is over the classes.
    """

    loss: np.ndarray
    exp: np.ndarray
    sum: np.ndarray
    index: np.ndarray
    at_label: np.ndarray
    mean: np.ndarray


class Strips:
    """A batch's logits and labels, strip by strip.

    Attributes:
        logits: (N, C, h, w), less the largest of all.
        label: uint8 (N, H, W).
        strips: the strips, each (number of the image, first row, last row + 1).
        resize: from the logits' size to the labels'.
    """

    def __init__(self, logits, label, align_corners):
        self.label = label.asnumpy().astype(np.uint8, copy=False)
        self.logits = logits.asnumpy()
        with np.errstate(invalid="ignore"):
            self.logits -= self.logits.max()
        self._steep = self.logits.min() < -STEEP
        count, classes, height, width = self.logits.shape
        size = self.label.shape[1:]
        self.resize = Resize(
            interpolation(height, size[0], align_corners),
            interpolation(width, size[1], align_corners),
        )
        self.strips = [
            (n, start, stop)
            for n in range(count)
            for start, stop in strips(size[0], classes * size[1], STRIP_VALUES)
        ]

    def strip(self, n, start, stop, with_mean=False):
        """The :class:`Strip` of image ``n``, rows [start, stop); its mean only if wanted."""
        label = self.label[n, start:stop]
        z = self.resize.strip(self.logits[n], start, stop)
        index = np.minimum(label, len(z) - 1).astype(np.int64)
        index *= label.size
        index += np.arange(label.size).reshape(label.shape)
        if self._steep:
            z -= z.max(axis=0)
        at_label = z.ravel()[index]
        mean = z.mean(axis=0) if with_mean else None
        np.exp(z, out=z)
        total = z.sum(axis=0)
        return Strip(np.log(total) - at_label, z, total, index, at_label, mean)

    def log_sum(self, n, start, stop):
        """The logarithm (rows, W) of the sum of exp(logits) over the classes."""
        z = self.resize.strip(self.logits[n], start, stop)
        largest = z.max(axis=0)
        z -= largest
        np.exp(z, out=z)
        return np.log(z.sum(axis=0)) + largest

    def plane(self, c):
        """The enlarged logits (N, H, W) of class ``c``."""
        return self.resize.strip(self.logits[:, c], 0, self.label.shape[1])
