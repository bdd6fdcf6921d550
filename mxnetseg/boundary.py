"""Where classes meet: the boundary target."""

import cv2
import numpy as np


def edge_map(mask, frame=6, width=4):
    """Where classes meet: the boundary target of SANet and PIDNet.

    Canny finds each step of the class index (ignored pixels count as a class), ``frame`` pixels
    at every side are cleared (Cityscapes' annotations end there; the originals use 0 elsewhere),
    and the lines are thickened to ``width`` pixels: one pixel at (r, c) becomes, for 4, the rows
    r - 1 .. r + 2 and the columns c - 1 .. c + 2.

    Args:
        mask: uint8 (H, W).

    Returns:
        uint8 (H, W), 1 at boundaries, else 0.
    """
    edges = cv2.Canny(np.ascontiguousarray(mask), 0.1, 0.2)
    if frame:
        edges[:frame] = edges[-frame:] = 0
        edges[:, :frame] = edges[:, -frame:] = 0
    return cv2.dilate(edges, np.ones((width, width), np.uint8)) // 255
