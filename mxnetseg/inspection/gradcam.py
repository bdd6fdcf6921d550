"""Heat maps: where the evidence for a class lies.

Grad-CAM (Selvaraju et al., ICCV 2017) for segmentation (Vinogradova et al., 2020), as in SANet's
tools: the objective is the class's score, summed over the pixels that are predicted as the class.
"""

import cv2
import mxnet as mx
import numpy as np
from mxnet import autograd

from ..inference.logits import read

EPSILON = 1e-7


def heat(probe, pixels, layer, number):
    """The heat map of a class at a layer.

    With M = 1 where ``number`` has the largest score, S = sum over M of its scores, and F the maps
    of the layer: ReLU(sum over k of mean(dS / dF_k) F_k), rescaled to 0 ... 1, resized to the image
    (pixel centres aligned) and rescaled again. At the layer "main", the scores themselves, that is
    the positive part of the class's score.

    Args:
        probe: Probe. pixels: (H, W, C). layer: see :meth:`Probe.see`.
        number: of the class.

    Returns:
        float32 (H, W) in 0 ... 1, all 0 if no pixel is predicted as the class; and the class map,
        uint8 (H, W).
    """
    seen = probe.see(pixels, layer, gradients=True)
    scores = seen.outputs["main"]
    mask = (read(scores)[0].argmax(axis=0) == number).astype(np.float32)
    rows, columns = seen.cells(mask)
    mask[rows:], mask[:, columns:] = 0, 0  # padding is no part of the image
    with autograd.record(train_mode=False):
        inside = mx.nd.array(mask, ctx=probe.context)
        total = (scores[0, number] * inside).sum()
    total.backward(train_mode=False)
    values = class_activation(seen.layer.asnumpy()[0], seen.layer.grad.asnumpy()[0])
    height, width = seen.size
    whole = cv2.resize(rescaled(values), seen.padded[::-1], interpolation=cv2.INTER_LINEAR)
    return rescaled(whole[:height, :width]), probe.classes(seen)


def class_activation(maps, gradients):
    """ReLU of the maps (K, h, w), weighted with the spatial means of their gradients: (h, w)."""
    weights = gradients.mean(axis=(1, 2))
    return np.maximum(np.tensordot(weights, maps, 1), 0)


def rescaled(values):
    """Values in 0 ... 1: the minimum subtracted, divided by what then is the maximum."""
    values = values - values.min()
    return (values / (values.max() + EPSILON)).astype(np.float32)


def overlay(image, values):
    """A heat map in jet's colours over an image: their mean, made as bright as it can be.

    Args:
        image: uint8 (H, W, 3). values: float32 (H, W) in 0 ... 1.
    """
    colors = cv2.applyColorMap((255 * values).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]
    mixed = 0.5 * colors + 0.5 * image
    return (255 * (mixed / max(mixed.max(), 1.0))).astype(np.uint8)
