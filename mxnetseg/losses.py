"""Losses over the whole batch, however it is split over devices.

Logits may come at the network's own resolution: they are enlarged to the labels here, with the
classes last, which costs half of what enlarging and then taking the softmax over axis 1 does.

The gradient is that of the formula: the mean over all valid pixels of the *whole* batch, plus the
auxiliary terms times their weights. A batch without one valid pixel has loss 0 and gradient 0. A
label that is neither a class nor ``IGNORE`` makes the loss NaN: it never trains silently.
"""

import math

import mxnet as mx
from mxnet import autograd, gluon

from .errors import UsageError
from .nn import interpolation_matrix
from .registry import Registry, check_options

IGNORE = 255
registry = Registry("loss")


class PixelCrossEntropy(gluon.HybridBlock):
    """-log softmax at the label, per pixel.

    Logits (N, C, h, w) and labels (N, H, W) -> losses (H, N, W), 0 where the label is IGNORE, and
    the weights (H, N, W): the class weight of a valid pixel, 0 elsewhere. The losses are weighted.

    Args:
        align_corners: how the logits are enlarged to (H, W).
        class_weights: one number per class, or None for 1.
    """

    def __init__(self, num_classes, align_corners=True, class_weights=None):
        super().__init__()
        self._num_classes = num_classes
        self._align_corners = align_corners
        self.weights = None
        if class_weights is not None:
            if len(class_weights) != num_classes:
                raise UsageError(
                    f"loss.class_weights has {len(class_weights)} numbers for "
                    f"{num_classes} classes. Give one per class."
                )
            self.weights = self.params.get_constant("weights", mx.nd.array(class_weights))

    def hybrid_forward(self, F, logits, label, weights=None):
        label = F.cast(F.transpose(label, axes=(1, 0, 2)), "float32")  # (H, N, W)
        rows = interpolation_matrix(F, logits, 2, label, 0, self._align_corners)
        columns = interpolation_matrix(F, logits, 3, label, 2, self._align_corners)
        z = F.dot(columns, F.transpose(logits, axes=(3, 2, 0, 1)))  # (W, h, N, C)
        z = F.dot(rows, F.transpose(z, axes=(1, 2, 0, 3)))  # (H, N, W, C)
        valid = label != IGNORE
        index = label * valid
        loss = -F.pick(F.log_softmax(z, axis=-1), index, axis=-1) * valid
        wrong = (index >= self._num_classes) + (index < 0)
        loss = F.where(wrong, F.ones_like(loss) * math.nan, loss)
        weight = valid if weights is None else F.take(weights, index) * valid
        return loss * weight, weight


class Loss:
    """Sum over the outputs of weight x loss; what the trainer calls.

    Args:
        num_classes, align_corners: of the network.
        output_weights: one per output, the main one first.
        class_weights: one per class, or None.
    """

    def __init__(self, num_classes, output_weights=(1.0,), align_corners=True, class_weights=None):
        self.output_weights = tuple(output_weights)
        self.pixels = PixelCrossEntropy(num_classes, align_corners, class_weights)
        self.pixels.initialize()
        self.pixels.hybridize(static_alloc=True)

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
        self.pixels.collect_params().reset_ctx([label.context for label in labels])
        parts = [0.0] * len(labels)
        for k, output_weight in enumerate(self.output_weights):
            terms = [self.pixels(o[k], label) for o, label in zip(outputs, labels)]
            for i, term in enumerate(self.reduce(terms)):
                parts[i] = parts[i] + output_weight * term
        return parts

    def reduce(self, terms):
        """Mean over the valid pixels of all devices: [(losses, weights)] -> [scalar]."""
        with autograd.pause():
            total = over_devices(mx.nd.add_n, [weight.sum() for _, weight in terms])
        return [loss.sum() / mx.nd.maximum(t, 1e-12) for (loss, _), t in zip(terms, total)]


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
        threshold=0.7,
        min_kept=100000,
    ):
        super().__init__(num_classes, output_weights, align_corners, class_weights)
        if not 0 < threshold <= 1:
            raise UsageError(f"loss.threshold is a probability, not {threshold}.")
        self.limit = -math.log(threshold)
        self.min_kept = min_kept

    def reduce(self, terms):
        with autograd.pause():
            hardness = [loss / mx.nd.maximum(weight, 1e-12) for loss, weight in terms]
            keep = [
                mx.nd.broadcast_greater_equal(h, limit) * (weight > 0)
                for h, limit, (_, weight) in zip(hardness, self._limits(hardness), terms)
            ]
            kept = [(k * weight).sum() for k, (_, weight) in zip(keep, terms)]
            total = over_devices(mx.nd.add_n, kept)
        # where() and not a product: an invalid label's NaN compares false and must not be lost
        return [
            (mx.nd.where((loss == loss) - k, mx.nd.zeros_like(loss), loss)).sum()
            / mx.nd.maximum(t, 1e-12)
            for (loss, _), k, t in zip(terms, keep, total)
        ]

    def _limits(self, hardness):
        """On each device, the loss from which on a pixel counts as hard."""

        def limit(*losses):
            flat = mx.nd.concat(*[v.reshape(-1) for v in losses], dim=0)
            if flat.size <= self.min_kept:
                return mx.nd.zeros((1, 1, 1), ctx=flat.context)
            kth = mx.nd.topk(flat, k=self.min_kept, ret_typ="value")[-1:]
            return mx.nd.minimum(kth, self.limit).reshape((1, 1, 1))

        return over_devices(limit, hardness)


def create(name, net, output_weights=None, **options):
    """The loss called ``name`` for a network.

    Args:
        net: a SegmentationModel; gives classes, outputs and the way they are enlarged.
        output_weights: of the outputs behind the main one; the network's own if None.

    Raises:
        UsageError: unknown name or option; not as many weights as auxiliary outputs.
    """
    factory = registry.get(name)
    check_options(f"loss '{name}'", factory, options)
    auxiliaries = len(net.output_names) - 1
    weights = net.aux_weights if output_weights is None else output_weights
    if output_weights is None and not auxiliaries:
        weights = ()
    if len(weights) != auxiliaries:
        raise UsageError(
            f"loss.aux_weights has {len(weights)} numbers, but the network has {auxiliaries} "
            f"auxiliary outputs ({', '.join(net.output_names[1:]) or 'none'})."
        )
    return factory(net.num_classes, (1.0, *weights), net.align_corners, **options)
