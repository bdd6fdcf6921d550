"""Cross entropy over all pixels, over the hard ones, or weighed by how hard they are."""

import math

import mxnet as mx
from mxnet import autograd

from ..errors import UsageError
from ..runtime import on_host
from . import options
from .base import Criterion, of_step, over_devices, registry, totals, weighted_mean
from .pixels import PLAIN, Variant

_ROUNDING = 1e-6  # a tenth of 50 pixels is 5


@registry.register("cross_entropy")
class CrossEntropy(Criterion):
    """l = -log p_y, mean over the valid pixels; with class weights a_c, sum(a_y l) / sum(a_y).

    Args:
        label_smoothing: e; l becomes (1 - e) x -log p_y + e x the mean of -log p_c over all classes
            (Szegedy et al., Rethinking the Inception Architecture, CVPR 2016). A pixel weighs what
            its class weighs.
    """

    def __init__(self, label_smoothing=0.0):
        self.variant = _smoothed("cross_entropy", label_smoothing)

    def reduce(self, terms, class_weights, total, auxiliary):
        return mean(terms, total, self.variant)


@registry.register("focal")
class Focal(Criterion):
    """(1 - p_y)^gamma x -log p_y: easy pixels count less; mean and class weights as cross entropy.

    Lin et al., Focal Loss for Dense Object Detection, ICCV 2017. Class weights are its alpha.

    Args:
        gamma: 0 gives cross entropy.
    """

    def __init__(self, gamma=2.0):
        self.variant = Variant(gamma=options.number("focal", "gamma", gamma, 0))

    def reduce(self, terms, class_weights, total, auxiliary):
        return mean(terms, total, self.variant)


@registry.register("ohem")
class OHEM(Criterion):
    """Cross entropy over the hard pixels: those whose class has a probability below ``threshold``.

    Shrivastava et al., Training Region-based Object Detectors with Online Hard Example Mining, CVPR
    2016, in the form that semantic segmentation uses: where too few pixels of the batch are hard,
    those with the largest losses are kept. Class weights weigh the pixels that are kept; they do
    not choose them. Of a step in micro-batches or on several machines, each chooses its own.

    Args:
        min_kept: so many pixels are kept at least; 100000 if neither is given.
        min_share: the same as a share of the valid pixels, rounded down.
        label_smoothing: as of cross entropy, of the pixels that are kept.
    """

    def __init__(self, threshold=0.7, min_kept=None, min_share=None, label_smoothing=0.0):
        threshold = options.number(
            "ohem", "threshold", threshold, 0, 1, (False, True), "a probability"
        )
        self.limit = -math.log(threshold)
        if min_kept is not None and min_share is not None:
            raise UsageError("Loss 'ohem' takes min_kept or min_share, not both.")
        self.min_share = min_share
        if min_share is not None:
            self.min_share = options.number("ohem", "min_share", min_share, 0, 1, what="a share")
        self.min_kept = options.count("ohem", "min_kept", 100000 if min_kept is None else min_kept)
        self.variant = _smoothed("ohem", label_smoothing)

    def reduce(self, terms, class_weights, total, auxiliary):
        with autograd.pause():
            hardness = [t.losses * t.valid for t in terms]
            keep = [
                mx.nd.broadcast_greater_equal(h, limit) * t.valid
                for h, limit, t in zip(hardness, self._limits(terms, hardness), terms)
            ]
            counts = [k * t.weight for k, t in zip(keep, terms)]
            factors = [k * t.factor for k, t in zip(keep, terms)]  # NaN stays NaN
        return of_step(weighted_mean(terms, factors, counts, variant=self.variant), terms, total)

    def _limits(self, terms, hardness):
        """On each device, the loss from which on a pixel counts as hard."""
        valid = None if self.min_share is None else totals([t.valid for t in terms])[0]

        def limit(*losses):
            flat = mx.nd.concat(*[v.reshape(-1) for v in losses], dim=0)
            if valid is None:
                kth = _loss_of_rank(flat, self.min_kept)
            elif on_host(flat.context):
                kth = _loss_of_rank(flat, int(self.min_share * valid.asscalar() + _ROUNDING))
            else:  # on a GPU the host must not wait for the number
                rank = mx.nd.floor(self.min_share * valid.astype("float64") + _ROUNDING) - 1
                ordered = mx.nd.sort(flat, is_ascend=False)
                kth = mx.nd.take(ordered, mx.nd.maximum(rank, 0).astype("int32"))
                kth = mx.nd.where(rank < 0, mx.nd.ones_like(kth) * math.inf, kth)
            return mx.nd.minimum(kth, self.limit).reshape((1, 1, 1))

        return over_devices(limit, hardness)


def _loss_of_rank(losses, k):
    """The k-th largest loss (1,): infinite for 0, and 0 if there are not so many."""
    if 0 < k < losses.size:
        return largest(losses, k)
    return mx.nd.full(1, 0 if k else math.inf, ctx=losses.context)


def largest(values, k):
    """The k-th largest value (1,) of a vector."""
    return mx.nd.topk(values, k=k, ret_typ="value")[-1:]


def _smoothed(loss, smoothing):
    smoothing = options.number(loss, "label_smoothing", smoothing, 0, 1, (True, False), "a share")
    return Variant(smoothing=smoothing)


def mean(terms, total, variant=PLAIN):
    """The mean over the valid pixels of the step."""
    counts = [t.weight for t in terms] if total is None else total.weight
    return weighted_mean(terms, [t.factor for t in terms], counts, variant=variant)
