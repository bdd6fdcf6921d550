"""What every loss does: sum its outputs' parts, over all devices.

Logits may come at the network's own resolution: they are enlarged to the labels here (see
``pixels``).

The gradient is that of the formula: the mean over all valid pixels of the *whole* batch, plus the
auxiliary terms times their weights. A batch without one valid pixel has loss 0 and gradient 0. A
label that is neither a class nor ``IGNORE`` makes the loss NaN: it never trains silently.

An output called "boundary" learns where classes meet: its target is made from the labels.
"""

import functools
from dataclasses import dataclass

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..boundary import edge_map
from ..errors import UsageError
from ..registry import Registry
from .pixels import PixelBoundary, PixelCrossEntropy, PixelWeights, total_of

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
