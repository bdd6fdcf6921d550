"""Pictures of class maps: colours, and the image under them with a legend."""

import cv2
import numpy as np

from ..legend import PAPER, draw_legend
from ..palette import colorize


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
    colors = colorize(classes, palette, void_color)
    mixed = cv2.addWeighted(image, 1 - alpha, colors, alpha, 0)
    unpainted = classes >= len(palette)
    if unpainted.any():
        mixed[unpainted] = image[unpainted]
    if not legend:
        return mixed
    found = present(classes, len(palette))
    if not found:
        return mixed
    panel = draw_legend([(names[k], palette[k], share) for k, share in found], mixed.shape[1])
    if panel.shape[1] > mixed.shape[1]:
        right = panel.shape[1] - mixed.shape[1]
        mixed = cv2.copyMakeBorder(mixed, 0, 0, 0, right, cv2.BORDER_CONSTANT, value=PAPER)
    return np.concatenate([mixed, panel])


def present(classes, num_classes):
    """The classes in a map, the largest first: [(class, share of the pixels), ...]."""
    counts = np.bincount(classes.ravel(), minlength=256)[:num_classes]
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    return [(int(k), counts[k] / classes.size) for k in order]
