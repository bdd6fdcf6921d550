"""Pictures of class maps: colours, and the image under them with a legend."""

from typing import NamedTuple

import cv2
import numpy as np

from ..legend import PAPER, draw_legend
from ..palette import colorize

ROWS = 256  # of a strip


class Look(NamedTuple):
    """How a prediction is painted.

    Attributes:
        alpha: opacity of the colours, 0 ... 1.
        legend: whether the classes' names stand below.
        side_by_side: whether the image stands to the left of it.
    """

    alpha: float = 0.5
    legend: bool = True
    side_by_side: bool = False


def overlay(image, classes, palette, names, alpha=0.5, legend=True, void_color=(0, 0, 0)):
    """The class colours over an image, with the names of what was found below it.

    Args:
        image: uint8 (H, W, 3), RGB.
        classes: uint8 (H, W), class indices; where it holds no class, the image shows unpainted.
        palette: uint8 (C, 3), RGB. names: of the classes.
        alpha: opacity of the colours, 0 ... 1.
        legend: whether to add the legend.

    Returns:
        uint8 (H', W', 3), RGB; with a legend higher than the image, and wider if the image is
        narrower than a name.
    """
    look = Look(alpha, legend)
    return np.concatenate(list(paint(image, classes, palette, names, look, void_color)[2]))


def paint(image, classes, palette, names, look, void_color=(0, 0, 0)):
    """:func:`overlay` in strips, for pictures of any size.

    Args:
        look: Look.

    Returns:
        (height, width, strips): the size of the whole picture; an iterator over uint8
        (rows, width, 3), RGB, from top to bottom.
    """
    height, width = classes.shape
    shown = 2 * width if look.side_by_side else width
    found = present(classes, len(palette)) if look.legend else ()
    panels = [draw_legend([(names[k], palette[k], n) for k, n in found], shown)] if found else []
    right = max([0, *(panel.shape[1] - shown for panel in panels)])

    def strips():
        for start in range(0, height, ROWS):
            rows = slice(start, min(start + ROWS, height))
            strip = _mixed(image[rows], classes[rows], palette, look.alpha, void_color)
            if look.side_by_side:
                strip = np.concatenate([image[rows], strip], axis=1)
            if right:
                strip = cv2.copyMakeBorder(strip, 0, 0, 0, right, cv2.BORDER_CONSTANT, value=PAPER)
            yield strip
        yield from panels

    return height + sum(len(panel) for panel in panels), shown + right, strips()


def _mixed(image, classes, palette, alpha, void_color):
    colors = colorize(classes, palette, void_color)
    mixed = cv2.addWeighted(image, 1 - alpha, colors, alpha, 0)
    unpainted = classes >= len(palette)
    if unpainted.any():
        mixed[unpainted] = image[unpainted]
    return mixed


def present(classes, num_classes):
    """The classes in a map, the largest first: [(class, share of the pixels), ...]."""
    counts = np.zeros(256, np.int64)
    for start in range(0, len(classes), ROWS):  # bincount makes eight bytes of every one
        counts += np.bincount(classes[start : start + ROWS].ravel(), minlength=256)
    counts = counts[:num_classes]
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    return [(int(k), counts[k] / classes.size) for k in order]
