"""Cross entropy over all pixels, or over the hard ones."""

import math

import mxnet as mx
from mxnet import autograd

from ..errors import UsageError
from .base import Loss, over_devices, registry, weighted_mean


@registry.register("cross_entropy")
class CrossEntropy(Loss):
    """Cross entropy, mean over valid pixels; with class weights a_c, sum(a_y l) / sum(a_y)."""


@registry.register("ohem")
class OHEM(Loss):
    """Cross entropy over the hard pixels: those whose class has a probability below ``threshold``.

    Shrivastava et al., Training Region-based Object Detectors with Online Hard Example Mining, CVPR
    2016, in the form that semantic segmentation uses: where fewer than ``min_kept`` pixels of the
    batch are hard, the ``min_kept`` with the largest losses are kept. Class weights weigh the
    pixels that are kept; they do not choose them.
    """

    def __init__(
        self,
        num_classes,
        output_weights=(1.0,),
        align_corners=True,
        class_weights=None,
        boundaries=(),
        threshold=0.7,
        min_kept=100000,
    ):
        super().__init__(num_classes, output_weights, align_corners, class_weights, boundaries)
        if not 0 < threshold <= 1:
            raise UsageError(f"loss.threshold is a probability, not {threshold}.")
        self.limit = -math.log(threshold)
        self.min_kept = min_kept

    def reduce(self, terms, auxiliary=False):
        with autograd.pause():
            hardness = [t.losses * (t.weight > 0) for t in terms]
            keep = [
                mx.nd.broadcast_greater_equal(h, limit) * (t.weight > 0)
                for h, limit, t in zip(hardness, self._limits(hardness), terms)
            ]
            counts = [k * t.weight for k, t in zip(keep, terms)]
            factors = [k * t.factor for k, t in zip(keep, terms)]  # NaN stays NaN
        return weighted_mean(terms, factors, counts)

    def _limits(self, hardness):
        """On each device, the loss from which on a pixel counts as hard."""

        def limit(*losses):
            flat = mx.nd.concat(*[v.reshape(-1) for v in losses], dim=0)
            if flat.size <= self.min_kept:
                return mx.nd.zeros((1, 1, 1), ctx=flat.context)
            kth = mx.nd.topk(flat, k=self.min_kept, ret_typ="value")[-1:]
            return mx.nd.minimum(kth, self.limit).reshape((1, 1, 1))

        return over_devices(limit, hardness)
