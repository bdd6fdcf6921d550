"""Losses on several devices, and their gradients."""

import mxnet as mx
import numpy as np
from mxnet import autograd

from mxnetseg import losses

from . import slow


def make(name, *outputs, class_weights=None, align_corners=True, per="batch", **options):
    """A loss; ``outputs``: (name, weight) each, default the main one alone."""
    names, weights = zip(*(outputs or (("main", 1.0),)))
    return losses.Loss(
        slow.CLASSES, losses.summands(name, options), names, weights, align_corners,
        class_weights, per,
    )  # fmt: skip


def run(loss, outputs, y, shares=(4,), total=None, parts=False):
    """Value (or parts) and gradients of a loss over the batch in ``shares`` per device.

    Args:
        outputs: an array (N, C, h, w) per output.
        y: labels (N, H, W) or (N, 2, H, W).
    """
    cuts = np.cumsum(shares)[:-1]
    contexts = [mx.cpu(i) for i in range(len(shares))]
    devices = []
    for context, *arrays in zip(contexts, *(np.split(v, cuts) for v in outputs)):
        devices.append([mx.nd.array(a, ctx=context) for a in arrays])
    labels = [mx.nd.array(a, ctx=c, dtype="uint8") for a, c in zip(np.split(y, cuts), contexts)]
    for x in sum(devices, []):
        x.attach_grad()
    with autograd.record():
        values = (loss.parts if parts else loss)(devices, labels, total)
    for value in values:  # each by itself: several threads may do this
        value.backward()
    gradients = [
        np.concatenate([d[k].grad.asnumpy() for d in devices]) for k in range(len(outputs))
    ]
    value = sum(v.asnumpy().astype(np.float64) for v in values)
    return (value if parts else value[0]), gradients


def numeric(function, x, count=25, step=1e-4):
    """Finite differences of ``function(x)`` at some places: (places, slopes)."""
    rng = np.random.RandomState(3)
    x = x.astype(np.float64)
    places, slopes = [], []
    for _ in range(count):
        place = tuple(rng.randint(n) for n in x.shape)
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        places.append(place)
        slopes.append((ends[0] - ends[1]) / (2 * step))
    return tuple(np.array(places).T), np.array(slopes)
