"""Effective receptive fields: how much each pixel really counts.

Luo et al., Understanding the Effective Receptive Field in Deep Convolutional Neural Networks,
NeurIPS 2016: the gradient of a central value with respect to the image, averaged over images. It is
mostly a bell much smaller than the field that the graph allows.
"""

import cv2
import numpy as np
from mxnet import autograd

from ..columns import counted
from ..data.images import as_picture
from ..errors import UsageError
from . import pictures

SHARES = (0.5, 0.95)
COLORS = ((220, 30, 30), (240, 140, 0))  # of their rectangles
GRAPH = (0, 0, 0)
LEAST = 1e-3  # of the largest gradient; the picture is logarithmic from there


class Effective:
    """Gradients, averaged over images.

    Attributes:
        total: float64 (H, W): sum over the images of sum over colours of |gradient|.
        count: images. position, cells: (row, column) of the value, and how many the map has.

    Args:
        probe: Probe. layer: see ``Probe.see``; at "main" the score of the class that wins there is
            derived, elsewhere the sum over the channels.
    """

    def __init__(self, probe, layer="main"):
        self.probe, self.layer = probe, layer
        self.total, self.count, self.position, self.cells = None, 0, None, None

    def update(self, pixels):
        """Add an image. All are resized to the first one's size."""
        if self.total is not None and pixels.shape[:2] != self.total.shape:
            size = self.total.shape[::-1]
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        gradient = self._gradient(pixels)
        share = gradient.sum()
        if share > 0:
            gradient = gradient / share  # every image counts alike
        self.total = gradient if self.total is None else self.total + gradient
        self.count += 1

    def _gradient(self, pixels):
        x, padded = self.probe.load(pixels)
        x.attach_grad()
        seen = self.probe.forward(x, padded, pixels.shape[:2], self.layer, autograd.record)
        values = seen.layer
        self.cells = seen.cells(values)
        self.position = tuple(n // 2 for n in self.cells)
        with autograd.record(train_mode=False):
            value = values[0, :, self.position[0], self.position[1]]
            value = value.max() if self.layer == "main" else value.sum()
        value.backward(train_mode=False)
        height, width = pixels.shape[:2]
        return np.abs(x.grad.asnumpy()[0]).sum(axis=0)[:height, :width].astype(np.float64)

    @property
    def mean(self):
        """float64 (H, W), in parts of the largest value."""
        if self.total is None:
            raise UsageError("There is no image to derive the network at.")
        return self.total / max(self.total.max(), 1e-300)

    def box(self, share):
        """(rows, columns), each (first, last), that hold a share of the gradient along their axis.

        Each is the smallest about the gradient's centre of mass.
        """
        found = []
        for axis in (1, 0):
            line = self.total.sum(axis=axis)
            line, places = line / line.sum(), np.arange(len(line))
            reach = np.abs(places - (line * places).sum())
            order = np.argsort(reach, kind="stable")
            last = int(np.searchsorted(np.cumsum(line[order]), share * (1 - 1e-9)))
            inside = order[: last + 1]
            found.append((int(inside.min()), int(inside.max())))
        return tuple(found)


def picture(effective, pixels, row=None):
    """The gradients as a picture beside an image, with the field of the graph as a rectangle.

    Args:
        effective: Effective. pixels: an image. row: ``fields.Row`` of the layer, or None.
    """
    mean = effective.mean
    values = np.log10(np.maximum(mean, LEAST))
    low = float(np.log10(LEAST))
    heat = pictures.colored(values, low, 0)
    image = as_picture(pixels)
    image = cv2.resize(image, mean.shape[::-1], interpolation=cv2.INTER_AREA)
    texts = []
    for share, color in zip(SHARES, COLORS):
        (top, bottom), (left, right) = effective.box(share)
        texts.append(f"{100 * share:g} % within {right - left + 1} x {bottom - top + 1}")
        for drawing in (heat, image):
            _rectangle(drawing, (left, top), (right, bottom), color)
    if row is not None and row.size:
        everything = " and everything" if row.everything else ""
        texts.append(f"graph {row.size[1]:g} x {row.size[0]:g}{everything}")
        for drawing in (heat, image):
            _rectangle(drawing, *_corners(row, effective.position, drawing.shape), GRAPH)
    many = counted(effective.count, "image")
    bar = pictures.with_bar(heat, low, 0.0)
    return pictures.beside(
        [
            pictures.titled(image, f"what counts for one value of {effective.layer}"),
            pictures.titled(bar, f"gradient over {many}, log10: {', '.join(texts)}"),
        ]
    )


def _corners(row, position, shape):
    """(left, top), (right, bottom) of the field of a position; cut a little outside the picture."""
    center = [o + p * s for o, p, s in zip(row.offset, position, row.stride)]
    reach = [(size - 1) / 2 for size in row.size]
    for sign in (-1, 1):
        yield tuple(
            int(np.clip(round(center[a] + sign * reach[a]), -8, shape[a] + 8)) for a in (1, 0)
        )


def _rectangle(drawing, first, last, color):
    thickness = max(2, drawing.shape[1] // 300)
    cv2.rectangle(drawing, first, last, (255, 255, 255), thickness + 2)
    cv2.rectangle(drawing, first, last, color, thickness)
