"""Losses over the whole batch, however it is split over devices.

Logits may come at the network's own resolution: they are enlarged to the labels here (see
``pixels``).

The gradient is that of the formula: the mean over all valid pixels of the *whole* batch, plus the
auxiliary terms times their weights. A batch without one valid pixel has loss 0 and gradient 0. A
label that is neither a class nor ``IGNORE`` makes the loss NaN: it never trains silently.

An output called "boundary" learns where classes meet: its target is made from the labels.
"""

import functools
import math
from dataclasses import dataclass

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..boundary import edge_map
from ..errors import UsageError
from ..registry import Registry, check_options
from .pixels import IGNORE, PixelBoundary, PixelCrossEntropy, PixelWeights, total_of  # noqa: F401

registry = Registry("loss")


@dataclass
class Term:
    """What a loss of classes is made of, on one device.

    Attributes:
        pixels: PixelCrossEntropy.
        logits: (N, C, h, w).
        label: (N, H, W).
        factor: (H, N, W), the weight of a pixel: NaN where the label is neither a class nor IGNORE.
        weight: the same with 1 in these places.
    """

    pixels: PixelCrossEntropy
    logits: mx.nd.NDArray
    label: mx.nd.NDArray
    factor: mx.nd.NDArray
    weight: mx.nd.NDArray

    @functools.cached_property
    def losses(self):
        """The unweighted losses (H, N, W), without a gradient."""
        return self.pixels.losses(self.logits, self.label)

    def weighted_sum(self, factor):
        """The sum (1,) of ``factor`` (H, N, W) x loss; its gradient goes to the logits."""
        return self.pixels.weighted_sum(self.logits, self.label, factor)


class Loss:
    """Sum over the outputs of weight x loss; what the trainer calls.

    Args:
        num_classes, align_corners: of the network.
        output_weights: one per output, the main one first.
        class_weights: one per class, or None.
        boundaries: positions of the outputs that are boundaries instead of classes.
    """

    def __init__(
        self,
        num_classes,
        output_weights=(1.0,),
        align_corners=True,
        class_weights=None,
        boundaries=(),
    ):
        self.output_weights = tuple(output_weights)
        self.boundaries = tuple(boundaries)
        self.weights = PixelWeights(num_classes, class_weights)
        self.pixels = PixelCrossEntropy(align_corners)
        self.edge_pixels = PixelBoundary(align_corners)
        self.edge_pixels.hybridize(static_alloc=True)

    def __call__(self, outputs, labels):
        """The parts of the loss on each device; their sum is the loss, their backward its gradient.

        Args:
            outputs: per device, the tuple of logits (N, C, h, w), main first.
            labels: per device, (N, H, W) of class indices and IGNORE, uint8 or float32.

        Returns:
            One scalar array (1,) per device.
        """
        if any(len(o) != len(self.output_weights) for o in outputs):
            raise UsageError(
                f"The network has {len(outputs[0])} outputs, but the loss has "
                f"{len(self.output_weights)} output weights."
            )
        weights = [self.weights(label) for label in labels]
        targets = [edges(label) for label in labels] if self.boundaries else []
        classes, borders, summands = [], [], []
        for k, output_weight in enumerate(self.output_weights):
            if k in self.boundaries:
                terms = [self.edge_pixels(o[k], t) for o, t in zip(outputs, targets)]
                borders.append(terms)
                values = self.balanced(terms)
            else:
                terms = [
                    Term(self.pixels, o[k], label, *both)
                    for o, label, both in zip(outputs, labels, weights)
                ]
                classes.append(terms)
                values = self.reduce(terms, auxiliary=k > 0)
            summands.append([output_weight * value for value in values])
        if borders:
            summands.extend(self.joint(classes[0], borders[0]))
        return [sum(values) for values in zip(*summands)]

    def reduce(self, terms, auxiliary=False):
        """Mean over the valid pixels of all devices: [Term] -> [scalar]."""
        return weighted_mean(terms, [t.factor for t in terms], [t.weight for t in terms])

    def balanced(self, terms):
        """Mean over all pixels of all devices; boundaries and the rest have the same say.

        With P boundary pixels among n, one of them weighs (n - P) / n, any other P / n.
        """
        with autograd.pause():
            pixels = sum(target.size for _, target, _ in terms)
            count = totals([target for _, target, _ in terms])
        out = []
        for (loss, target, _), ones in zip(terms, count):
            share = (ones / pixels).reshape((1, 1, 1))
            weight = mx.nd.broadcast_mul(target, 1 - 2 * share)
            out.append(total_of(loss * mx.nd.broadcast_add(weight, share)) / pixels)
        return out

    def joint(self, main, boundary):
        """Further summands, [scalar] each, from the main output and the boundary together."""
        return []


def edges(label):
    """Where classes meet: labels (N, H, W) -> 1 at boundaries, else 0, made by OpenCV."""
    masks = label.asnumpy().astype(np.uint8)
    found = np.stack([edge_map(mask, frame=0) for mask in masks])
    return mx.nd.array(found, ctx=label.context)


def weighted_mean(terms, factors, counts, least=1e-12):
    """The sum of factor x loss over the sum of the counts, at least ``least``, of all devices.

    Args:
        terms, factors, counts: a Term and two arrays (H, N, W) per device.

    Returns:
        [scalar]: what each device adds to it.
    """
    with autograd.pause():
        divisors = [mx.nd.maximum(total, least) for total in totals(counts)]
    return [t.weighted_sum(f) / divisor for t, f, divisor in zip(terms, factors, divisors)]


def totals(arrays):
    """The sum (1,) of all values of all devices, on each."""
    return over_devices(mx.nd.add_n, [total_of(x) for x in arrays])


def over_devices(function, values):
    """``function(*values)`` of one array per device, computed on the first, copied to each."""
    if len(values) == 1:
        return [function(values[0])]
    home = values[0].context
    result = function(*[v.as_in_context(home) for v in values])
    return [result.as_in_context(v.context) for v in values]


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


def create(name, net, output_weights=None, **options):
    """The loss called ``name`` for a network.

    Args:
        net: a SegmentationModel; gives classes, outputs and the way they are enlarged.
        output_weights: of the outputs behind the main one; the network's own if None.

    Raises:
        UsageError: unknown name or option; not as many weights as auxiliary outputs.
    """
    factory = registry.get(name)
    ours = ("num_classes", "output_weights", "align_corners", "boundaries")
    check_options(f"loss '{name}'", factory, options, exclude=ours)
    auxiliaries = len(net.output_names) - 1
    weights = net.aux_weights if output_weights is None else output_weights
    if output_weights is None and not auxiliaries:
        weights = ()
    if len(weights) != auxiliaries:
        raise UsageError(
            f"loss.aux_weights has {len(weights)} numbers, but the network has {auxiliaries} "
            f"auxiliary outputs ({', '.join(net.output_names[1:]) or 'none'})."
        )
    boundaries = [k for k, name in enumerate(net.output_names) if name == "boundary"]
    return factory(
        net.num_classes, (1.0, *weights), net.align_corners, boundaries=boundaries, **options
    )
