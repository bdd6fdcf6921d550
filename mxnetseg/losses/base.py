"""What every loss does: sum its outputs' parts, over all devices.

Logits may come at the network's own resolution: they are enlarged to the labels here (see
``pixels``).

The gradient is that of the formula: the mean over all valid pixels of the *whole* batch, plus the
auxiliary terms times their weights. A batch without one valid pixel has loss 0 and gradient 0. A
label that is neither a class nor ``IGNORE`` makes the loss NaN: it never trains silently.

An output called "boundary" learns where classes meet.
"""

import copy
import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..boundary import edge_map
from ..description import IGNORE
from ..errors import UsageError
from ..registry import Registry
from .pixels import PLAIN, PixelBoundary, PixelLosses, PixelWeights, total_of

registry = Registry("loss")


class Totals(NamedTuple):
    """What the means of a step divide by, of all the labels that the step sees.

    Attributes:
        weight: sum of the class weights over the valid pixels.
        valid: number of valid pixels.
        pixels: number of pixels.
        edges: number of boundary pixels; 0 for a network without a boundary output.
        devices: number of label arrays.
    """

    weight: float
    valid: float
    pixels: float
    edges: float
    devices: float


@dataclass
class Term:
    """What a loss of classes is made of: one output on one device.

    Attributes:
        pixels: PixelLosses.
        logits: (N, C, h, w).
        label: (N, H, W).
        factor: (H, N, W), the weight of a pixel: NaN where the label is neither a class nor IGNORE.
        weight: the same with 1 in these places.
        valid: (H, N, W), 1 where the label is not IGNORE, else 0.
    """

    pixels: PixelLosses
    logits: mx.nd.NDArray
    label: mx.nd.NDArray
    factor: mx.nd.NDArray
    weight: mx.nd.NDArray
    valid: mx.nd.NDArray

    @functools.cached_property
    def losses(self):
        """The unweighted cross entropies (H, N, W), without a gradient."""
        return self.pixels.losses(self.logits, self.label)

    def weighted_sum(self, factor, variant=PLAIN):
        """The sum (1,) of ``factor`` (H, N, W) x loss; its gradient goes to the logits."""
        return self.pixels.weighted_sum(self.logits, self.label, factor, variant)

    def nan_if_wrong(self):
        """0 (1,); NaN if a label is neither a class nor IGNORE."""
        with autograd.pause():
            return 0 * total_of(self.factor)


class Criterion:
    """What an output of classes loses. A subclass takes its options and implements :meth:`reduce`.

    Attributes:
        joint_weight: of a further part from the main output and the boundary; 0: there is none.
    """

    joint_weight = 0.0

    def reduce(self, terms, class_weights, total, auxiliary):
        """The loss of one output over all devices.

        Args:
            terms: a Term per device.
            class_weights: float32 (C,), 1 each where none are given.
            total: Totals of the step, or None where these devices are all of it.
            auxiliary: whether it is another output than the main one.

        Returns:
            What each device adds to the loss: [scalar (1,)].
        """
        raise NotImplementedError

    def joint(self, main, boundary, total):
        """The further part: [Term], [(losses, targets, logits)] of the boundary -> [scalar]."""
        raise NotImplementedError

    def check_class_weights(self):
        """UsageError if class weights have no meaning here."""


class Summand(NamedTuple):
    """``weight`` x the loss called ``name``."""

    name: str
    weight: float
    criterion: Any


class Loss:
    """Sum over the outputs of weight x loss; what the trainer calls.

    Args:
        num_classes, output_names, align_corners: of the network.
        summands: [Summand], what an output of classes loses; see :func:`mxnetseg.losses.summands`.
        output_weights: one per output, the main one first.
        class_weights: one per class, or None.
        per: "batch", or "device": the mean of the devices' own losses.

    Attributes:
        names: of the parts: "main", "aux", "boundary", "joint"; of several summands "main.dice".
    """

    def __init__(
        self,
        num_classes,
        summands,
        output_names=("main",),
        output_weights=(1.0,),
        align_corners=True,
        class_weights=None,
        per="batch",
    ):
        self.summands, self.per = tuple(summands), per
        self.output_names, self.output_weights = tuple(output_names), tuple(output_weights)
        self.weights = PixelWeights(num_classes, class_weights)
        if class_weights is not None:
            for _, _, criterion in self.summands:
                criterion.check_class_weights()
        self.pixels = PixelLosses(align_corners)
        self.edge_pixels = PixelBoundary(align_corners)
        self.edge_pixels.hybridize(static_alloc=True)
        self._has_boundary = "boundary" in self.output_names
        self.names = tuple(self._names())

    def _names(self):
        several = len(self.summands) > 1
        for output in self.output_names:
            if output == "boundary":
                yield output
            else:
                yield from (f"{output}.{s.name}" if several else output for s in self.summands)
        if self._has_boundary:
            yield from ("joint" for s in self.summands if s.criterion.joint_weight)

    def of_main_output(self):
        """The part of the main output alone, as a Loss of networks with no other."""
        other = copy.copy(self)
        other.output_names, other.output_weights = ("main",), self.output_weights[:1]
        other.per, other._has_boundary = "batch", False
        other.names = tuple(other._names())
        return other

    def __call__(self, outputs, labels, total=None):
        """The loss: what each device adds to it; their backward is its gradient.

        Args:
            outputs: per device, the tuple of logits (N, C, h, w), main first.
            labels: per device, (N, H, W) of class indices and IGNORE, uint8 or float32; or
                (N, 2, H, W), the second 1 at boundaries, else 0: where a transform made the
                boundary map. It is made on the host from the labels otherwise.
            total: :meth:`normalizer`, summed over all that belong to the step, where these devices
                hold only a part of it.

        Returns:
            One scalar array (1,) per device.
        """
        return [total_of(parts) for parts in self.parts(outputs, labels, total)]

    def parts(self, outputs, labels, total=None):
        """As calling it, before the sum: per device (len(names),), in the order of ``names``.

        Each part is already times its weights: their sum is the loss.
        """
        if any(len(o) != len(self.output_weights) for o in outputs):
            raise UsageError(
                f"The network has {len(outputs[0])} outputs, but the loss has "
                f"{len(self.output_weights)} output weights."
            )
        total = None if total is None else Totals(*(float(v) for v in total))
        if self.per == "batch" or (len(labels) == 1 and total is None):
            return self._parts(outputs, labels, total)
        share = 1 / (len(labels) if total is None else total.devices)
        single = [self._parts([o], [label], None) for o, label in zip(outputs, labels)]
        return [share * parts for (parts,) in single]

    def normalizer(self, labels):
        """What must be summed over all micro-batches and machines of a step, from their labels.

        Args:
            labels: a list of labels as for calling it, per device and micro-batch; NumPy arrays
                will do.

        Returns:
            float64 (5,), the numbers of Totals.
        """
        sums = np.zeros(len(Totals._fields))
        for label in labels:
            label = label if isinstance(label, np.ndarray) else label.asnumpy()
            edges = None
            if self._has_boundary:
                edges = (label[:, 1] if label.ndim == 4 else _edges(label)).sum(dtype=np.int64)
            label = label[:, 0] if label.ndim == 4 else label
            counts = np.bincount(label.astype(np.uint8, copy=False).ravel(), minlength=256)
            weight = float(self.weights.of_counts(counts))
            sums += (weight, label.size - counts[IGNORE], label.size, edges or 0, 1)
        return sums

    def _parts(self, outputs, labels, total):
        labels, targets = zip(*(_split(label, self._has_boundary) for label in labels))
        weights = [self.weights(label) for label in labels]
        main, borders, parts = None, None, []
        for k, (name, weight) in enumerate(zip(self.output_names, self.output_weights)):
            logits = [_float32(o[k]) for o in outputs]
            if name == "boundary":
                borders = [self.edge_pixels(z, t) for z, t in zip(logits, targets)]
                parts.append(_times(weight, _balanced(borders, total)))
                continue
            terms = [Term(self.pixels, z, y, *w) for z, y, w in zip(logits, labels, weights)]
            main = main or terms
            for s in self.summands:
                values = s.criterion.reduce(terms, self.weights.of_classes, total, k > 0)
                parts.append(_times(weight * s.weight, values))
        if borders:
            for s in self.summands:
                if s.criterion.joint_weight:
                    values = s.criterion.joint(main, borders, total)
                    parts.append(_times(s.weight * s.criterion.joint_weight, values))
        return [mx.nd.concat(*values, dim=0) for values in zip(*parts)]


def _times(weight, values):
    return [weight * value for value in values]


def _float32(logits):
    """Logits of a network in half precision are widened first."""
    return logits if logits.dtype == np.float32 else logits.astype("float32")


def _split(label, with_edges):
    """Labels (N, H, W) and, if wanted, the boundary map (N, H, W)."""
    if label.ndim == 4:
        return mx.nd.split(label, 2, axis=1, squeeze_axis=True)
    if not with_edges:
        return label, None
    return label, mx.nd.array(_edges(label.asnumpy()), ctx=label.context)


def _edges(label):
    """Where classes meet: labels (N, H, W) -> uint8, 1 at boundaries, else 0, made by OpenCV."""
    return np.stack([edge_map(mask, frame=0) for mask in label.astype(np.uint8, copy=False)])


def _balanced(terms, total):
    """Mean over all pixels of all devices; boundaries and the rest have the same say.

    With P boundary pixels among n, one of them weighs (n - P) / n, any other P / n.
    """
    with autograd.pause():
        if total is None:
            pixels = sum(target.size for _, target, _ in terms)
            shares = [ones / pixels for ones in totals([target for _, target, _ in terms])]
        else:
            pixels = total.pixels
            shares = [mx.nd.full(1, total.edges / pixels, ctx=x.context) for x, _, _ in terms]
    out = []
    for (loss, target, _), share in zip(terms, shares):
        share = share.reshape((1, 1, 1))
        weight = mx.nd.broadcast_mul(target, 1 - 2 * share)
        out.append(total_of(loss * mx.nd.broadcast_add(weight, share)) / pixels)
    return out


def weighted_mean(terms, factors, counts, least=1e-12, variant=PLAIN):
    """The sum of factor x loss over the sum of the counts, at least ``least``, of all devices.

    Args:
        terms: a Term per device.
        factors: an array (H, N, W) per device.
        counts: the same; or the sum of the counts, a number.
        variant: of the loss, see :class:`~mxnetseg.losses.pixels.Variant`.

    Returns:
        [scalar]: what each device adds to it.
    """
    if isinstance(counts, float):
        divisors = [max(counts, least)] * len(terms)
    else:
        with autograd.pause():
            divisors = [mx.nd.maximum(total, least) for total in totals(counts)]
    return [t.weighted_sum(f, variant) / divisor for t, f, divisor in zip(terms, factors, divisors)]


def of_step(values, terms, total):
    """A loss of these pixels alone, as what it adds to a step that sees more of them.

    It counts for as much as its share of the step's valid pixels.
    """
    if total is None:
        return values
    with autograd.pause():
        shares = [count / max(total.valid, 1) for count in totals([t.valid for t in terms])]
    return [value * share for value, share in zip(values, shares)]


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
