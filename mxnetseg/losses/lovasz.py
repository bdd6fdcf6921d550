"""Lovasz-softmax: the Jaccard index (IoU) itself, made continuous.

On a CPU only one class's probabilities exist at a time; elsewhere MXNet's operators hold all.
"""

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..description import IGNORE
from ..resample import parallel
from ..runtime import on_host
from . import options
from .base import Criterion, of_step, registry, total_of
from .host import Given, Strips


@registry.register("lovasz")
class Lovasz(Criterion):
    """The Lovasz extension of 1 - IoU, mean over the classes that are present.

    Berman et al., The Lovasz-Softmax loss, CVPR 2018. For a class, a pixel's error is 1 - p where
    it is the label, else p. In falling order of the errors e_k over all valid pixels, the loss is
    sum_k e_k (J_k - J_(k-1)), where J_k is 1 - IoU of a prediction that has the first k pixels
    wrong. Class weights weigh the classes in the mean. A class without a pixel is left out.

    It is no mean over pixels. It orders the pixels of all devices; of a step in micro-batches or on
    several machines, each orders its own, and counts for as much as its share of the valid pixels.

    Args:
        per_image: whether each image has a loss of its own; they are averaged over those that have
            a valid pixel.
    """

    def __init__(self, per_image=False):
        self.per_image = options.switch("lovasz", "per_image", per_image)

    def reduce(self, terms, class_weights, total, auxiliary):
        if on_host(terms[0].logits.context):
            values = _on_host(terms, class_weights, self.per_image)
        else:
            values = _with_operators(terms, class_weights, self.per_image)
        values = [value + term.nan_if_wrong() for value, term in zip(values, terms)]
        return of_step(values, terms, total)


# --- on the host -----------------------------------------------------------------------------


def _on_host(terms, class_weights, per_image):
    with autograd.pause():
        planes = [_Planes(t) for t in terms]
        labels = np.concatenate([p.labels for p in planes])
        counts = np.concatenate([p.counts for p in planes])  # of valid pixels, per image
        groups = counts[counts > 0] if per_image else np.array([len(labels)])
        cuts = np.concatenate([[0], np.cumsum(groups)])
        shares = _shares(labels, cuts, class_weights)
        ends = np.cumsum([len(p.labels) for p in planes])[:-1]
        values = np.zeros(len(planes))

        def one(c):
            """The class's loss per device, and p x dL/dp of its valid pixels."""
            p = np.concatenate([plane.probability(c) for plane in planes])
            label = labels == c
            error = np.where(label, 1 - p, p)
            slope = np.zeros_like(p)
            for share, start, stop in zip(shares[:, c], cuts[:-1], cuts[1:]):
                if share:
                    part = slice(start, stop)
                    slope[part] = share * _slopes(error[part], label[part])
            losses = [part.sum(dtype=np.float64) for part in np.split(error * slope, ends)]
            steps = np.split(np.where(label, -slope, slope) * p, ends)
            return losses, steps, [plane.transposed(s) for plane, s in zip(planes, steps)]

        # softmax: dL/dz_c = p_c (g_c - sum_k p_k g_k)
        inner = [np.zeros(len(p.labels), np.float32) for p in planes]
        classes = len(class_weights)
        gradients = [np.zeros(t.logits.shape, np.float32) for t in terms]
        for c, (losses, steps, small) in enumerate(parallel(one, zip(range(classes)))):
            values += losses
            for d in range(len(planes)):
                inner[d] += steps[d]
                gradients[d][:, c] = small[d]

        def rest(c):
            return [plane.transposed(plane.probability(c) * s) for plane, s in zip(planes, inner)]

        for c, small in enumerate(parallel(rest, zip(range(classes)))):
            for gradient, part in zip(gradients, small):
                gradient[:, c] -= part
    return [Given(v, g)(t.logits) for v, g, t in zip(values, gradients, terms)]


def _shares(labels, cuts, class_weights):
    """What each class of each group weighs in the mean: float64 (groups, C), 0 where absent."""
    classes = len(class_weights)
    shares = np.zeros((len(cuts) - 1, classes))
    for k, (start, stop) in enumerate(zip(cuts[:-1], cuts[1:])):
        counts = np.bincount(labels[start:stop], minlength=256)[:classes]
        shares[k] = (counts > 0) * class_weights
        shares[k] /= max(shares[k].sum(), 1e-12) * len(shares)
    return shares


def _slopes(error, label):
    """dL/d error of one class, of errors (M,) and whether the class is the label (M,)."""
    slope = np.zeros_like(error)
    # beyond the last pixel of the class all of it is wrong, and nothing changes
    found = np.flatnonzero(error >= error[label].min())
    order = found[np.argsort(-error[found])]
    inside = label[order].astype(np.float64)
    total = inside.sum()
    hits = np.cumsum(inside) - inside  # pixels of the class before this one
    others = np.arange(len(order)) - hits
    union = total + others
    slope[order] = np.where(inside > 0, 1 / union, (total - hits) / (union * (union + 1)))
    return slope


class _Planes:
    """The probabilities of one output on one device, a class at a time, at its valid pixels.

    Attributes:
        labels: of the valid pixels. counts: how many each image has.
    """

    def __init__(self, term):
        self._strips = strips = Strips(term.logits, term.label, term.pixels.align_corners)
        valid = strips.label != IGNORE
        self._at = np.flatnonzero(valid)
        self.labels = strips.label.ravel()[self._at]
        self.counts = valid.sum(axis=(1, 2))
        log_sum = np.empty(strips.label.shape, np.float32)

        @np.errstate(invalid="ignore", over="ignore")
        def work(n, start, stop):
            log_sum[n, start:stop] = strips.log_sum(n, start, stop)

        parallel(work, strips.strips)
        self._log_sum = log_sum.ravel()[self._at]

    def probability(self, c):
        """Of class ``c`` (M,)."""
        plane = self._strips.plane(c).ravel()[self._at]
        with np.errstate(invalid="ignore", over="ignore"):
            return np.exp(plane - self._log_sum)

    def transposed(self, gradient):
        """A gradient (M,) of a class's enlarged logits -> (N, h, w), of its logits."""
        shape = self._strips.label.shape
        large = np.zeros(int(np.prod(shape)), np.float32)
        large[self._at] = gradient
        _, _, small = self._strips.resize.transposed_strip(large.reshape(shape), 0, shape[1])
        return small


# --- with operators --------------------------------------------------------------------------


def _with_operators(terms, class_weights, per_image):
    classes, home = len(class_weights), terms[0].logits.context
    errors, ordered, labels = [], [], []
    for t in terms:
        one_hot = mx.nd.one_hot(t.label.transpose((1, 0, 2)), classes)
        valid = t.valid.expand_dims(3)
        error = mx.nd.abs(t.pixels.probabilities(t.logits, t.label) - one_hot)
        errors.append(mx.nd.broadcast_mul(error, valid))
        with autograd.pause():  # ignored pixels come last
            ordered.append(_by_image(mx.nd.broadcast_sub(errors[-1], 1 - valid), home))
            labels.append(_by_image(one_hot, home))
    with autograd.pause():
        both = [mx.nd.concat(*x, dim=0) for x in (ordered, labels)]
        if not per_image:
            both = [x.reshape((1, -1, classes)) for x in both]
        ordered, labels = both
        slopes = [_sorted_slopes(ordered[:, :, c], labels[:, :, c]) for c in range(classes)]
        weights = mx.nd.array(class_weights, ctx=home).reshape((1, -1))
        shares = mx.nd.broadcast_mul(labels.max(axis=1), weights)  # of the classes present
        shares = mx.nd.broadcast_div(
            shares, mx.nd.maximum(shares.sum(axis=1, keepdims=True), 1e-12)
        )
        groups = mx.nd.maximum((ordered.max(axis=(1, 2)) >= 0).sum(), 1)  # with a valid pixel
        shares = mx.nd.broadcast_div(shares, groups).expand_dims(1)
        slopes = mx.nd.broadcast_mul(mx.nd.stack(*slopes, axis=2), shares)
    values, start = [], 0
    for t, error in zip(terms, errors):
        count, height, width = t.label.shape
        with autograd.pause():
            part = slopes.reshape((-1, height, width, classes))[start : start + count]
            part = part.transpose((1, 0, 2, 3)).as_in_context(error.context)
        values.append(total_of(error * part))
        start += count
    return values


def _by_image(x, context):
    """(H, N, W, C) -> (N, H W, C)."""
    return x.transpose((1, 0, 2, 3)).reshape((0, -3, 0)).as_in_context(context)


def _sorted_slopes(error, label):
    """As :func:`_slopes`, of (groups, M) each; 0 for a class that a group lacks."""
    groups, size = error.shape
    first = (mx.nd.arange(groups, ctx=error.context) * size).reshape((-1, 1)).astype("int32")

    def take(values, order):
        return mx.nd.take(values.reshape(-1), mx.nd.broadcast_add(order, first))

    order = mx.nd.argsort(error, axis=1, is_ascend=False, dtype="int32")
    inside = take(label, order).astype("int32")
    total = inside.sum(axis=1, keepdims=True)
    hits = mx.nd.cumsum(inside, axis=1) - inside  # pixels of the class before this one
    union = mx.nd.broadcast_add(mx.nd.cumsum(1 - inside, axis=1) - (1 - inside), total)
    union = mx.nd.maximum(union.astype("float32"), 1)
    missed = mx.nd.broadcast_sub(total, hits).astype("float32")
    slopes = mx.nd.where(inside, 1 / union, missed / union / (union + 1))
    return take(slopes, mx.nd.argsort(order, axis=1, dtype="int32"))
