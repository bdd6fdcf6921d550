"""Boundaries by class: which class ends here.

The maps of MSFNet's class boundary supervision (arXiv 1911.07217), as in SANet's tools.
"""

import cv2
import numpy as np

from ..description import IGNORE

SQUARE = np.ones((3, 3), np.uint8)


def class_edges(mask, num_classes):
    """The classes at both sides of each boundary, as bands of a few pixels.

    Canny finds every step of the class index, ignored pixels counting as a class. The pixels
    beside the lines keep their class; these bands then grow by two pixels, over the lines too, and
    where classes compete the higher index wins.

    Args:
        mask: uint8 (H, W), classes; 255 is ignored.

    Returns:
        uint8 (H, W): the class whose boundary this is; 255 where none is.
    """
    classes = np.where(mask == IGNORE, num_classes, mask).astype(np.uint8)
    lines = cv2.Canny(classes + 1, 0.1, 0.2)
    beside = (cv2.dilate(lines, SQUARE) > 0) & (lines == 0) & (classes < num_classes)
    bands = np.where(beside, classes + 1, 0).astype(np.uint8)
    bands = cv2.dilate(bands, SQUARE, iterations=2)
    return np.where(bands > 0, bands - 1, IGNORE).astype(np.uint8)
