"""Losses of the overlap between predicted and labelled regions: Dice, Tversky.

They are no means over pixels. The sums behind them, three numbers per class, are those of all
devices; of a step in micro-batches or on several machines, each has a loss of its own, which
counts for as much as its share of the step's valid pixels.
"""

import mxnet as mx
from mxnet import autograd

from ..errors import UsageError
from . import options
from .base import Criterion, of_step, over_devices, registry


class Overlap(Criterion):
    """1 - (n I + s) / (i I + p P + t T + s) of each class, mean over the classes that are present.

    Over all valid pixels, I is the sum of the class's probability where it is the label, P that of
    its probability ** exponent anywhere, T the number of its pixels. A class without one is
    absent, and left out. Class weights weigh the classes in that mean.

    Args:
        coefficients: n, i, p, t.
        smooth: s.
        exponent: of the probabilities in P.
        average: "macro", or "micro": I, P and T are summed over the classes first.
    """

    def __init__(self, coefficients, smooth, exponent=1.0, average="macro"):
        self.coefficients, self.smooth = coefficients, smooth
        self.exponent, self.average = exponent, average

    def reduce(self, terms, class_weights, total, auxiliary):
        sums = [t.pixels.region_sums(t.logits, t.label, t.valid, self.exponent) for t in terms]
        with autograd.pause():
            values, slopes = zip(*self._linear([x.detach() for x in sums], class_weights))
        losses = []
        for term, x, value, slope in zip(terms, sums, values, slopes):
            # The loss of all devices' sums has this gradient with respect to this device's sums:
            # so each device has a graph of its own.
            linear = (slope * x).sum()
            rest = value / len(terms) - linear.detach()
            losses.append(linear + rest + term.nan_if_wrong())
        return of_step(losses, terms, total)

    def _linear(self, sums, class_weights):
        """On each device, the loss (1,) of all devices' sums, and its slopes (3, C)."""

        def loss(*parts):
            everything = mx.nd.add_n(*parts)
            if self.average == "micro":
                everything = everything.sum(axis=1, keepdims=True)
            inter, probability, label = everything  # (C,) each
            weights = mx.nd.array(class_weights, ctx=label.context)
            weights = (label > 0) * (1 if self.average == "micro" else weights)
            weights = weights / mx.nd.maximum(weights.sum(), 1e-12)
            n, i, p, t = self.coefficients
            above = n * inter + self.smooth
            below = mx.nd.maximum(i * inter + p * probability + t * label + self.smooth, 1e-12)
            value = (weights * (1 - above / below)).sum()
            slopes = [
                weights * (i * above / below - n) / below,
                weights * p * above / below / below,
                mx.nd.zeros_like(label),  # T has no gradient
            ]
            slopes = mx.nd.broadcast_to(mx.nd.stack(*slopes), parts[0].shape)
            return mx.nd.concat(value, slopes.reshape(-1), dim=0)

        both = over_devices(loss, sums)
        return [(x[:1], x[1:].reshape(s.shape)) for x, s in zip(both, sums)]


@registry.register("dice")
class Dice(Overlap):
    """1 - (2 I + smooth) / (P + T + smooth), see :class:`Overlap`.

    Milletari et al., V-Net, 3DV 2016 (exponent 2); Sudre et al., Generalised Dice Overlap, 2017.

    Args:
        exponent: 1 or 2, of the probabilities in P.
        average: "macro": the mean over the classes; "micro": of all classes together.
    """

    def __init__(self, smooth=1.0, exponent=1, average="macro"):
        super().__init__(
            (2, 0, 1, 1),
            options.number("dice", "smooth", smooth, 0),
            options.choice("dice", "exponent", exponent, (1, 2)),
            options.choice("dice", "average", average, ("macro", "micro")),
        )

    def check_class_weights(self):
        if self.average == "micro":
            raise UsageError(
                "loss.class_weights mean nothing to loss 'dice' with average: micro, which has "
                "no loss per class. Drop one of the two."
            )


@registry.register("tversky")
class Tversky(Overlap):
    """1 - (I + smooth) / (I + alpha FP + beta FN + smooth), FP = P - I, FN = T - I.

    See :class:`Overlap`. Salehi et al., Tversky loss function for image segmentation using 3D fully
    convolutional deep networks, MLMI 2017. Both 0.5: Dice.

    Args:
        alpha: what false positives weigh.
        beta: what false negatives weigh.
    """

    def __init__(self, alpha=0.3, beta=0.7, smooth=1.0):
        alpha = options.number("tversky", "alpha", alpha, 0)
        beta = options.number("tversky", "beta", beta, 0)
        super().__init__(
            (1, 1 - alpha - beta, alpha, beta), options.number("tversky", "smooth", smooth, 0)
        )
