"""Effective receptive fields: how much each pixel really counts.

Luo et al., Understanding the Effective Receptive Field in Deep Convolutional Neural Networks,
NeurIPS 2016: the gradient of a central value with respect to the image, averaged over images. It is
mostly a bell much smaller than the field that the graph allows.
"""

import cv2
import numpy as np
from mxnet import autograd

from ..data.images import as_picture
from ..errors import UsageError
from . import pictures

SHARES = (0.5, 0.95)
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

    def size(self, share):
        """(rows, columns) of the smallest centred rectangle that holds a share of the gradient.

        Along each axis by itself, about the gradient's centre of mass.
        """
        found = []
        for axis in (1, 0):
            line = self.total.sum(axis=axis)
            line = line / line.sum()
            places = np.arange(len(line))
            center = (line * places).sum()
            reach = np.abs(places - center)
            order = np.argsort(reach, kind="stable")
            last = int(np.searchsorted(np.cumsum(line[order]), share))
            found.append(int(2 * np.ceil(reach[order[min(last, len(order) - 1)]])) + 1)
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
    half, most = (effective.size(share) for share in SHARES)
    text = f"half within {half[1]} x {half[0]}, 95 % within {most[1]} x {most[0]}"
    if row is not None and row.size:
        text += f"; graph: {row.size[1]:g} x {row.size[0]:g}"
        if row.everything:
            text += " and everything"
        for drawing in (heat, image):
            _rectangle(drawing, row, effective.position)
    many = f"{effective.count} image{'s' * (effective.count > 1)}"
    bar = pictures.with_bar(heat, low, 0.0)
    return pictures.beside(
        [
            pictures.titled(image, f"field of one value of {effective.layer}"),
            pictures.titled(bar, f"gradient over {many}, log10 of the largest: {text}"),
        ]
    )


def _rectangle(drawing, row, position):
    """Draw the field of a position; what lies outside of the picture is cut."""
    center = [o + p * s for o, p, s in zip(row.offset, position, row.stride)]
    reach = [(size - 1) / 2 for size in row.size]
    corners = [
        tuple(int(np.clip(round(c + sign * r), -4, n + 4)) for c, r, n in
              zip(center[::-1], reach[::-1], drawing.shape[1::-1]))
        for sign in (-1, 1)
    ]  # fmt: skip
    thickness = max(1, drawing.shape[1] // 300)
    cv2.rectangle(drawing, *corners, (255, 255, 255), thickness + 2)
    cv2.rectangle(drawing, *corners, (220, 30, 30), thickness)
