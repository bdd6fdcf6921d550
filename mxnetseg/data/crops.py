"""Resize and crop in one go: only what the crop will show is resized.

First the size and the window are drawn, then the source rectangle of the window is taken. This
costs 3 ms where whole-image resizing costs 100 (Cityscapes, crop 768).
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ..description import IGNORE
from .opencv import by_channels, histogram

MEAN_PIXEL = (124, 116, 104)
"""The rounded ImageNet mean: 0 after normalisation."""

# Shrinking by more than this needs averaging, or fine structures alias.
_AREA_FROM = 1.3

FILTERS = ("bilinear", "area", "cubic", "lanczos")
"""How images are resized. ``bilinear``: always; ``area``: averaged when they shrink much, else
bilinear; ``cubic``: the same with bicubic; ``lanczos``: PIL's, which widens when it shrinks.

OpenCV's own Lanczos is slower than PIL's and does not widen. ``cubic`` is within 1.5 grey levels
(root of the mean square) of ``lanczos`` at a tenth of its time.
"""


class Window(NamedTuple):
    """Where the resized image lies on the crop's canvas.

    Attributes:
        height, width: of the resized image.
        top, left: its place on the canvas; negative where the crop cuts.
    """

    height: int
    width: int
    top: int
    left: int


def place(height, width, crop, rng, pad="corner", around=None):
    """Draw the window of a crop from a resized image of ``height`` x ``width``.

    An edge shorter than the crop is padded: at the bottom and right (``corner``) or on both
    sides (``centre``).

    Args:
        around: a point (y, x) of the image, 0..1, that the crop shall show. Default: anywhere.
    """
    offsets = []
    for axis, (size, room) in enumerate(((height, crop[0]), (width, crop[1]))):
        if size > room:
            first, last = 0, size - room
            if around is not None:
                pixel = min(int(around[axis] * size), size - 1)
                border = room // 8  # some surroundings, and room for rounding
                last = max(min(last, pixel - border), 0)
                first = min(max(first, pixel - room + 1 + border), last)
            offsets.append(-int(rng.integers(first, last + 1)))
        else:
            offsets.append((room - size) // 2 if pad == "centre" else 0)
    return Window(height, width, *offsets)


def pixel_of_a_class(mask, rng):
    """Draw a class from those in the mask, alike often, and then one of its pixels.

    Returns:
        (y, x) of the pixel's centre as parts of the mask's height and width, or None if every
        pixel is ignored.
    """
    counts = histogram(mask)[:IGNORE]
    classes = np.flatnonzero(counts)
    if not len(classes):
        return None
    chosen = int(classes[rng.integers(len(classes))])
    rank = int(rng.integers(counts[chosen]))
    rows = np.cumsum((mask == chosen).sum(axis=1, dtype=np.int64))
    row = int(np.searchsorted(rows, rank, side="right"))
    before = int(rows[row - 1]) if row else 0
    column = int(np.flatnonzero(mask[row] == chosen)[rank - before])
    return (row + 0.5) / mask.shape[0], (column + 0.5) / mask.shape[1]


def _visible(length, size, offset, room):
    """One axis: the visible part of the canvas and the rectangle of the source behind it."""
    begin, end = max(offset, 0), min(offset + size, room)
    step = length / size
    first = int(round((begin - offset) * step))
    last = max(int(round((end - offset) * step)), first + 1)
    if last > length:
        first, last = min(first, length - 1), length
    return begin, end, first, last


def crop_resize(image, mask, window, crop, fill=MEAN_PIXEL, how="area", fill_label=IGNORE):
    """Resize to the window's size and crop, in one go.

    The rectangle is rounded to whole source pixels, for image and mask alike: they stay aligned
    with each other, and the place differs from that of whole-image resizing by less than one
    source pixel. An image that was decoded at a fraction of its size has larger source pixels,
    and the mask follows them.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W), or (k H, k W) for an image decoded at 1 / k, or None.
        window: see :class:`Window`.
        crop: (height, width) of the result.
        fill: RGB outside of the image.
        how: one of :data:`FILTERS`.
        fill_label: the mask's value outside of the image.
    """
    y0, y1, top, bottom = _visible(image.shape[0], window.height, window.top, crop[0])
    x0, x1, left, right = _visible(image.shape[1], window.width, window.left, crop[1])
    part = _resize(image, top, bottom, left, right, (x1 - x0, y1 - y0), how)
    part_mask = None
    if mask is not None:
        k = reduction_of(image, mask)
        part_mask = cv2.resize(
            mask[k * top : k * bottom, k * left : k * right],
            (x1 - x0, y1 - y0),
            interpolation=cv2.INTER_NEAREST_EXACT,  # by pixel centres, as the image
        )
    return _on_canvas(part, part_mask, y0, x0, crop, fill, fill_label)


def reduction_of(image, mask):
    """How many mask pixels a pixel of the image spans: 1, or 2, 4, 8 for a reduced JPEG."""
    return max(1, round(mask.shape[1] / image.shape[1]), round(mask.shape[0] / image.shape[0]))


def _resize(image, top, bottom, left, right, size, how):
    """The rectangle of ``image`` at ``size`` (width, height)."""
    shrink = max((bottom - top) / size[1], (right - left) / size[0])
    if how == "lanczos":
        return _lanczos(image, top, bottom, left, right, size, shrink)
    if how != "bilinear" and shrink > _AREA_FROM:
        flag = cv2.INTER_AREA
    else:
        flag = cv2.INTER_CUBIC if how == "cubic" else cv2.INTER_LINEAR
    part = image[top:bottom, left:right]
    return by_channels(lambda x: cv2.resize(x, size, interpolation=flag), part)


def _lanczos(image, top, bottom, left, right, size, shrink):
    # The filter reaches three pixels of the coarser grid beyond the rectangle.
    reach = math.ceil(3 * max(shrink, 1))
    y, x = max(top - reach, 0), max(left - reach, 0)
    around = np.ascontiguousarray(image[y : bottom + reach, x : right + reach])
    box = (left - x, top - y, right - x, bottom - y)
    if around.dtype == np.uint8 and around.shape[2] == 3:
        return np.array(Image.fromarray(around).resize(size, Image.LANCZOS, box=box))
    planes = [Image.fromarray(np.ascontiguousarray(p)) for p in np.moveaxis(around, 2, 0)]
    return np.stack([np.array(p.resize(size, Image.LANCZOS, box=box)) for p in planes], axis=2)


def _on_canvas(part, part_mask, top, left, crop, fill, fill_label):
    """Pad to the crop: the image with ``fill``, the mask with ``fill_label``."""
    height, width = part.shape[:2]
    if (height, width) == tuple(crop):
        return part, part_mask
    image = np.empty((crop[0], crop[1], part.shape[2]), part.dtype)
    image[:] = fill
    image[top : top + height, left : left + width] = part
    if part_mask is None:
        return image, None
    mask = np.full((crop[0], crop[1]), fill_label, part_mask.dtype)
    mask[top : top + height, left : left + width] = part_mask
    return image, mask


def crop_rotate(image, mask, window, crop, degrees, fill=MEAN_PIXEL, fill_label=IGNORE):
    """As :func:`crop_resize`, with a rotation about the centre of the resized image between."""
    turn = cv2.getRotationMatrix2D((window.width / 2, window.height / 2), degrees, 1)
    turn[:, 2] += (window.left, window.top)
    size = (crop[1], crop[0])

    def matrix(source):
        """From pixels of ``source`` to those of the crop."""
        height, width = source.shape[:2]
        scale = np.diag([window.width / width, window.height / height, 1])
        # Pixel centres: scaling maps x + 0.5, warpAffine maps x.
        scale[:2, 2] = 0.5 * scale.diagonal()[:2] - 0.5
        return turn @ scale

    image = by_channels(
        lambda part, border: cv2.warpAffine(
            part, matrix(part), size, flags=cv2.INTER_LINEAR, borderValue=border
        ),
        image,
        fill,
    )
    if mask is not None:
        mask = cv2.warpAffine(
            mask, matrix(mask), size, flags=cv2.INTER_NEAREST, borderValue=fill_label
        )
    # The original turns the picture on a canvas of its own size: what leaves it is lost.
    rows, columns = np.ones(crop[0], bool), np.ones(crop[1], bool)
    rows[max(window.top, 0) : window.top + window.height] = False
    columns[max(window.left, 0) : window.left + window.width] = False
    for index in (rows, (slice(None), columns)):
        image[index] = fill
        if mask is not None:
            mask[index] = fill_label
    return image, mask
