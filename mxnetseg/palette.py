"""Colours for class maps."""

import cv2
import numpy as np


def voc_palette(count, first=0):
    """The colours that Pascal VOC gives the indices ``first .. first + count - 1``.

    Bit 3k of an index goes to bit 7-k of red, bit 3k+1 to green, bit 3k+2 to blue. A data set
    without colours of its own starts at 1, so that black stays free for ignored pixels.

    Returns:
        uint8 array (count, 3), RGB.
    """
    index = np.arange(first, first + count)
    colors = np.zeros((count, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colors[:, channel] |= (((index >> (3 * bit + channel)) & 1) << (7 - bit)).astype(
                np.uint8
            )
    return colors


def full_palette(palette, void_color=(0, 0, 0)):
    """``palette`` (C, 3) with ``void_color`` for every other index: uint8 (256, 3)."""
    table = np.empty((256, 3), np.uint8)
    table[:] = void_color
    table[: len(palette)] = palette
    return table


def colorize(mask, palette, void_color=(0, 0, 0)):
    """Paint a class map.

    Args:
        mask: uint8 (H, W), class indices; whatever is no class gets the void colour.
        palette: uint8 (C, 3), RGB.
        void_color: RGB.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    table = full_palette(palette, void_color)
    return cv2.applyColorMap(np.ascontiguousarray(mask), table.reshape(256, 1, 3))
