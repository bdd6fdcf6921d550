"""The loss of networks that learn where classes meet."""

import math

import mxnet as mx
from mxnet import autograd

from ..errors import UsageError
from .base import Loss, over_devices, registry, weighted_mean


@registry.register("boundary_aware")
class BoundaryAware(Loss):
    """The loss of SANet and PIDNet (Xu et al., PIDNet, CVPR 2023), in four parts.

    * main: the mean of l over the hard pixels, see below;
    * auxiliary: the sum of l over *all* pixels of the batch, ignored ones included;
    * boundary: binary cross entropy, balanced;
    * joint: as the main part, over the pixels that the boundary output calls a boundary.

    l is the cross entropy times the class weight, which weighs but is in no denominator. Hard are
    the pixels whose class has a probability below the larger of ``threshold`` and that of
    the pixel with number ``min_kept``, counted from 0, the hardest first.

    Args:
        edge_threshold: probability from which on the boundary output counts as a boundary.
        joint_weight: of the fourth part.
    """

    def __init__(
        self,
        num_classes,
        output_weights=(1.0,),
        align_corners=True,
        class_weights=None,
        boundaries=(),
        threshold=0.9,
        min_kept=131072,
        edge_threshold=0.8,
        joint_weight=1.0,
    ):
        super().__init__(num_classes, output_weights, align_corners, class_weights, boundaries)
        for key, value in (("threshold", threshold), ("edge_threshold", edge_threshold)):
            if not 0 < value < 1:
                raise UsageError(f"loss.{key} is a probability, not {value}.")
        self.limit = -math.log(threshold)
        self.min_kept = min_kept
        self.edge_limit = math.log(edge_threshold / (1 - edge_threshold))
        self.joint_weight = joint_weight

    def reduce(self, terms, auxiliary=False):
        if not auxiliary:
            return self._hard_mean(terms, [term.weight > 0 for term in terms])
        pixels = sum(term.label.size for term in terms)
        return [term.weighted_sum(term.factor) / pixels for term in terms]

    def joint(self, main, boundary):
        with autograd.pause():
            valid = [
                (term.weight > 0) * (logit > self.edge_limit)
                for term, (_, _, logit) in zip(main, boundary)
            ]
        return [[self.joint_weight * value for value in self._hard_mean(main, valid)]]

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
            kth = mx.nd.topk(flat, k=self.min_kept + 1, ret_typ="value")[-1:]
            limit = mx.nd.where(kth < 0, easiest, kth)
        return mx.nd.minimum(limit, self.limit).reshape((1, 1, 1))
