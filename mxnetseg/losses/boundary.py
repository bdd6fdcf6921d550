"""The loss of networks that learn where classes meet."""

import math

import mxnet as mx
from mxnet import autograd

from . import options
from .base import Criterion, of_step, over_devices, registry, weighted_mean
from .cross_entropy import largest, mean


@registry.register("boundary_aware")
class BoundaryAware(Criterion):
    """The loss of SANet and PIDNet (Xu et al., PIDNet, CVPR 2023), in four parts.

    * main: the mean of l over the hard pixels, see below;
    * auxiliary: the sum of l over *all* pixels of the batch, ignored ones included;
    * boundary: binary cross entropy, balanced, as every loss has it;
    * joint: as the main part, over the pixels that the boundary output calls a boundary.

    l is the cross entropy times the class weight, which weighs but is in no denominator. Hard are
    the pixels whose class has a probability below the larger of ``threshold`` and that of
    the pixel with number ``min_kept``, counted from 0, the hardest first. Of a step in
    micro-batches or on several machines, each chooses its own.

    Args:
        edge_threshold: probability from which on the boundary output counts as a boundary.
        joint_weight: of the fourth part; 0: without it.
        ohem: False: main, auxiliary and joint part are plain cross entropies (their USE_OHEM).
    """

    def __init__(
        self, threshold=0.9, min_kept=131072, edge_threshold=0.8, joint_weight=1.0, ohem=True
    ):
        name, inside = "boundary_aware", (0, 1, (False, False), "a probability")
        threshold = options.number(name, "threshold", threshold, *inside)
        edge = options.number(name, "edge_threshold", edge_threshold, *inside)
        self.limit = -math.log(threshold)
        self.edge_limit = math.log(edge / (1 - edge))
        self.min_kept = options.count(name, "min_kept", min_kept)
        self.joint_weight = options.number(name, "joint_weight", joint_weight, 0)
        self.ohem = options.switch(name, "ohem", ohem)

    def reduce(self, terms, class_weights, total, auxiliary):
        if not self.ohem:
            return mean(terms, total)
        if auxiliary:
            pixels = sum(t.label.size for t in terms) if total is None else total.pixels
            return weighted_mean(terms, [t.factor for t in terms], float(pixels))
        return of_step(self._hard_mean(terms, [t.valid for t in terms]), terms, total)

    def joint(self, main, boundary, total):
        with autograd.pause():
            valid = [
                term.valid * (logit > self.edge_limit)
                for term, (_, _, logit) in zip(main, boundary)
            ]
        if self.ohem:
            values = self._hard_mean(main, valid)
        else:
            factors = [v * t.factor for v, t in zip(valid, main)]
            values = weighted_mean(main, factors, [v * t.weight for v, t in zip(valid, main)])
        return of_step(values, main, total)

    def _hard_mean(self, terms, valid):
        """Mean of the losses over the hard ones of the ``valid`` pixels; 0 if there are none."""
        with autograd.pause():
            hardness = [
                mx.nd.where(v, t.losses, -mx.nd.ones_like(t.losses)) for t, v in zip(terms, valid)
            ]
            hard = [
                mx.nd.broadcast_greater(h, limit) * v
                for h, limit, v in zip(hardness, over_devices(self._limit, hardness), valid)
            ]
            factors = [h * t.factor for h, t in zip(hard, terms)]  # NaN stays NaN
        return weighted_mean(terms, factors, hard, least=1)

    def _limit(self, *hardness):
        """The hardness that a pixel must exceed; of pixels that do not count it is -1."""
        flat = mx.nd.concat(*[h.reshape(-1) for h in hardness], dim=0)
        easiest = mx.nd.where(flat < 0, mx.nd.ones_like(flat) * math.inf, flat).min()
        limit = easiest
        if flat.size > self.min_kept:
            kth = largest(flat, self.min_kept + 1)
            limit = mx.nd.where(kth < 0, easiest, kth)
        return mx.nd.minimum(limit, self.limit).reshape((1, 1, 1))
