"""Training transforms on uint8 OpenCV arrays.

A transform is called as ``transform(image, mask, rng)`` and is a pure function of the three:
image uint8 (H, W, 3) RGB, mask uint8 (H, W) or None, rng a ``numpy.random.Generator``. It returns
image and mask of the crop size, still uint8; normalisation happens on the device. Images with other
channels (H, W, C), and float32 in 0..255, work likewise.

Only what the crop will show is resized: first the size, the window and the flip are drawn, then
the source rectangle of the window is taken. This costs 3 ms where whole-image resizing costs 100
(Cityscapes, crop 768).
"""

import dataclasses
import math
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np
from PIL import Image

from ..errors import UsageError
from ..registry import unknown
from .spec import IGNORE

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
    counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()[:IGNORE].astype(np.int64)
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


def crop_resize(image, mask, window, crop, fill=MEAN_PIXEL, how="area"):
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
        fill: RGB outside of the image; the mask is ignored there.
        how: one of :data:`FILTERS`.
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
    return _on_canvas(part, part_mask, y0, x0, crop, fill)


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
    return _by_four(part, lambda x, channels: cv2.resize(x, size, interpolation=flag))


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


def _by_four(image, change):
    """``change(part, channels)`` of four channels at a time, which is what OpenCV takes."""
    if image.shape[2] <= 4:
        return _like(image, change(image, slice(0, 4)))
    parts = []
    for first in range(0, image.shape[2], 4):
        channels = slice(first, first + 4)
        part = np.ascontiguousarray(image[..., channels])
        parts.append(_like(part, change(part, channels)))
    return np.concatenate(parts, axis=2)


def _like(image, result):
    """OpenCV drops the last axis of images with one channel: put it back."""
    return result if result.ndim == image.ndim else result[..., None]


def _on_canvas(part, part_mask, top, left, crop, fill):
    """Pad to the crop: the image with ``fill``, the mask with ignore, never with a class."""
    height, width = part.shape[:2]
    if (height, width) == tuple(crop):
        return part, part_mask
    image = np.empty((crop[0], crop[1], part.shape[2]), part.dtype)
    image[:] = fill
    image[top : top + height, left : left + width] = part
    if part_mask is None:
        return image, None
    mask = np.full((crop[0], crop[1]), IGNORE, np.uint8)
    mask[top : top + height, left : left + width] = part_mask
    return image, mask


def crop_rotate(image, mask, window, crop, degrees, fill=MEAN_PIXEL):
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

    image = _by_four(
        image,
        lambda part, channels: cv2.warpAffine(
            part, matrix(part), size, flags=cv2.INTER_LINEAR, borderValue=fill[channels]
        ),
    )
    if mask is not None:
        mask = cv2.warpAffine(mask, matrix(mask), size, flags=cv2.INTER_NEAREST, borderValue=IGNORE)
    # The original turns the picture on a canvas of its own size: what leaves it is lost.
    rows, columns = np.ones(crop[0], bool), np.ones(crop[1], bool)
    rows[max(window.top, 0) : window.top + window.height] = False
    columns[max(window.left, 0) : window.left + window.width] = False
    for index in (rows, (slice(None), columns)):
        image[index] = fill
        if mask is not None:
            mask[index] = IGNORE
    return image, mask


def flip(image, mask):
    """Mirror left and right. Classes that mean a side: see :func:`swap_sides`."""
    return _like(image, cv2.flip(image, 1)), None if mask is None else cv2.flip(mask, 1)


def swap_sides(mask, mirror):
    """The classes of a mirrored mask: in a mirror a left shoe is a right shoe.

    Args:
        mirror: 256 numbers, class -> class (``info.mirror`` of a data set).
    """
    return cv2.LUT(mask, np.asarray(mirror, np.uint8))


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


def blur(image, sigma, kernel=0):
    """Gaussian blur; ``kernel`` 0: as large as ``sigma`` needs; ``sigma`` 0: as the kernel."""
    if kernel == 0 and sigma < 0.15:  # nothing that 8 bits would show
        return image
    return _by_four(image, lambda part, _: cv2.GaussianBlur(part, (kernel, kernel), sigma))


def jitter(image, brightness, contrast, saturation):
    """Scale brightness, contrast and saturation (1 = unchanged), in this order."""
    if image.dtype != np.uint8 or image.shape[2] != 3:
        return _jitter_channels(image, brightness, contrast, saturation)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    levels = np.arange(256, dtype=np.float32) * brightness
    mean = float(np.clip(grey.mean() * brightness, 0, 255))
    levels = np.clip(np.clip(levels, 0, 255) * contrast + mean * (1 - contrast), 0, 255)
    image = cv2.LUT(image, (levels + 0.5).astype(np.uint8))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)


def _jitter_channels(image, brightness, contrast, saturation):
    """The same for any channels, of which only three have a saturation."""
    changed = np.clip(image.astype(np.float32) * brightness, 0, 255)
    changed = np.clip(changed * contrast + changed.mean() * (1 - contrast), 0, 255)
    if image.shape[2] == 3:
        grey = changed.mean(axis=2, keepdims=True)
        changed = np.clip(changed * saturation + grey * (1 - saturation), 0, 255)
    return changed if image.dtype != np.uint8 else (changed + 0.5).astype(np.uint8)


def _scale_long_edge(height, width, scale, base_size, rng):
    """GluonCV: the long edge is a whole number, uniform over scale x base, ends included."""
    base = base_size or max(height, width)
    long = int(rng.integers(int(base * scale[0]), int(base * scale[1]) + 1))
    if height > width:
        return long, int(width * long / height + 0.5)
    return int(height * long / width + 0.5), long


def _scale_factor(height, width, scale, base_size, rng):
    """semseg: a uniform factor of the original size (or of ``base_size``, long edge)."""
    factor = float(rng.uniform(*scale))
    if base_size:
        factor *= base_size / max(height, width)
    return round(height * factor), round(width * factor)


def _scale_steps(height, width, scale, base_size, rng):
    """SANet: a factor in steps of 0.1, ends included, of ``base_size`` as the long edge."""
    base = base_size or max(height, width)
    steps = int(round(10 * (scale[1] - scale[0])))
    long = int(base * (scale[0] + int(rng.integers(0, steps + 1)) / 10) + 0.5)
    if height > width:
        return long, int(width * long / height + 0.5)
    return int(height * long / width + 0.5), long


def _scale_log(height, width, scale, base_size, rng):
    """PMSDSEN: as ``factor``, but halving is as likely as doubling."""
    factor = math.exp(rng.uniform(math.log(scale[0]), math.log(scale[1])))
    if base_size:
        factor *= base_size / max(height, width)
    return round(height * factor), round(width * factor)


_SCALES = {
    "long-edge": _scale_long_edge,
    "factor": _scale_factor,
    "steps": _scale_steps,
    "log": _scale_log,
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A training transform; see :data:`PRESETS` for complete ones.

    Attributes:
        crop_size: (height, width) of the result.
        base_size: the long edge that the scale refers to; None: the image's own.
        scale: (smallest, largest) factor.
        scale_rule: ``long-edge`` (a whole number of pixels, uniform), ``factor`` (uniform),
            ``steps`` (of 0.1) or ``log`` (uniform in its logarithm).
        resize: one of :data:`FILTERS`.
        rotate: probability of a rotation by up to ``degrees``.
        flip: probability of a mirror image.
        blur: probability of a Gaussian blur.
        blur_sigma: (smallest, largest) sigma, or None: as ``blur_kernel`` has it.
        blur_kernel: its size; 0: as sigma needs.
        jitter: brightness, contrast, saturation factors are drawn from 1 - jitter .. 1 + jitter.
        balanced: probability that the crop is placed around a pixel of a class that is drawn
            from those in the picture, each alike often; else it lies anywhere.
        pad: ``corner`` (bottom and right) or ``centre`` (all sides).
        fill: the padding, a number for each channel.
        mirror: class -> class in a mirrored image, 256 numbers (``info.mirror``), or None where
            mirroring changes no class.
    """

    crop_size: Tuple[int, int]
    base_size: Optional[int] = None
    scale: Tuple[float, float] = (0.5, 2.0)
    scale_rule: str = "long-edge"
    resize: str = "area"
    rotate: float = 0.0
    degrees: float = 10.0
    flip: float = 0.5
    blur: float = 0.5
    blur_sigma: Optional[Tuple[float, float]] = (0.0, 1.0)
    blur_kernel: int = 0
    jitter: float = 0.0
    balanced: float = 0.0
    pad: str = "corner"
    fill: Tuple[float, ...] = MEAN_PIXEL
    mirror: Optional[Tuple[int, ...]] = None

    def __post_init__(self):
        if min(self.crop_size) < 1:
            raise UsageError(f"The crop size {self.crop_size} must be positive.")
        if self.base_size is not None and self.base_size < 1:
            raise UsageError(f"The base size {self.base_size} must be positive.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise UsageError(f"The scale range {self.scale} must be positive and in order.")
        for name in ("rotate", "flip", "blur", "balanced"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"The probability '{name}' must lie in 0..1.")
        if not 0 <= self.jitter <= 1:
            raise UsageError("'jitter' must lie in 0..1.")

    def size(self, height, width, rng):
        """Draw the (height, width) that an image is resized to: the first draw of a sample."""
        scaled = _SCALES[self.scale_rule](height, width, self.scale, self.base_size, rng)
        return max(scaled[0], 1), max(scaled[1], 1)

    def shrink(self, height, width, rng):
        """How many times smaller than (height, width) the image becomes; ``rng`` a fresh one."""
        scaled = self.size(height, width, rng)
        return min(height / scaled[0], width / scaled[1])

    def __call__(self, image, mask, rng):
        """uint8 (H, W, 3), uint8 (H, W) or None, generator -> both at ``crop_size``.

        The image may be decoded at 1 / k of the mask's size.
        """
        if len(self.fill) != image.shape[2]:
            raise UsageError(
                f"'fill' has {len(self.fill)} numbers for images of {image.shape[2]} channels."
            )
        full = image.shape if mask is None else mask.shape
        height, width = self.size(full[0], full[1], rng)
        around = None
        if self.balanced and rng.random() < self.balanced and mask is not None:
            around = pixel_of_a_class(mask, rng)
        window = place(height, width, self.crop_size, rng, self.pad, around)
        if self.rotate and rng.random() < self.rotate:
            degrees = float(rng.uniform(-self.degrees, self.degrees))
            image, mask = crop_rotate(image, mask, window, self.crop_size, degrees, self.fill)
            inside = None
        else:
            inside = window
            image, mask = crop_resize(image, mask, window, self.crop_size, self.fill, self.resize)
        if self.blur and rng.random() < self.blur:
            sigma = float(rng.uniform(*self.blur_sigma)) if self.blur_sigma else 0.0
            image = self._inside(image, inside, lambda part: blur(part, sigma, self.blur_kernel))
        if self.jitter:
            factors = rng.uniform(1 - self.jitter, 1 + self.jitter, 3)
            image = self._inside(image, inside, lambda part: jitter(part, *map(float, factors)))
        if self.flip and rng.random() < self.flip:
            image, mask = self._flip(image, mask, inside)
            if self.mirror is not None and mask is not None:
                mask = swap_sides(mask, self.mirror)
        return image, mask

    def _extent(self, window):
        """The part of the canvas that shows the image: rows, columns."""
        return (
            slice(max(window.top, 0), min(window.top + window.height, self.crop_size[0])),
            slice(max(window.left, 0), min(window.left + window.width, self.crop_size[1])),
        )

    def _inside(self, image, window, change):
        """Apply ``change`` to the picture, not to its padding."""
        if window is None:
            return change(image)
        extent = self._extent(window)
        if extent == (slice(0, image.shape[0]), slice(0, image.shape[1])):
            return change(image)
        image[extent] = change(np.ascontiguousarray(image[extent]))
        return image

    def _flip(self, image, mask, window):
        """Mirror; padding at the right stays at the right."""
        if window is None or self.pad == "centre" or window.width >= self.crop_size[1]:
            return flip(image, mask)
        part = slice(0, window.width)
        image[:, part] = image[:, part][:, ::-1].copy()
        if mask is not None:
            mask[:, part] = mask[:, part][:, ::-1].copy()
        return image, mask


# The training transforms of the originals, on crop-first 8-bit ground. Differences to them:
# padding is the mean and ignored (the originals: black, MXNetSeg even trains it as label value 0),
# scaling differs in the last digits (OpenCV for PIL, whole source pixels), SANet's label is
# resized by pixel centres.
PRESETS = {
    # GluonCV, MXNetSeg: PIL's bilinear averages when it shrinks, hence area.
    "mxnetseg": {"base_size": 520, "crop_size": (480, 480)},
    # semseg, MLMSNet: plain bilinear, rotation, 5x5 blur, padding on all sides.
    "semseg": {
        "crop_size": (473, 473),
        "scale_rule": "factor",
        "resize": "bilinear",
        "rotate": 0.5,
        "degrees": 10.0,
        "blur_sigma": None,
        "blur_kernel": 5,
        "pad": "centre",
    },
    # SANet, PIDNet: scales 0.5, 0.6 ... 2.1, nothing else; their boundary target is edge_map.
    "sanet": {
        "base_size": 2048,
        "crop_size": (1024, 1024),
        "scale": (0.5, 2.1),
        "scale_rule": "steps",
        "resize": "bilinear",
        "blur": 0.0,
    },
    # PMSDSEN: the scale follows from the crop's width; Lanczos; jitter. Where the padding is odd,
    # the extra pixel lies at the right and bottom (the original: at either side).
    "pmsdsen": {
        "crop_size": (512, 1024),
        "scale": None,
        "scale_rule": "log",
        "resize": "lanczos",
        "blur": 0.0,
        "jitter": 0.5,
        "pad": "centre",
    },
}

# What a preset has for single data sets.
_FOR_DATASET = {
    "mxnetseg": {"cityscapes": {"base_size": 2048, "crop_size": (768, 768)}},
    "semseg": {
        "ade20k": {},
        "pascal_voc": {},
        "pascal_voc_aug": {},
        "cityscapes": {"crop_size": (713, 713)},
        "camvid": {"crop_size": (713, 713)},
    },
    "sanet": {
        "cityscapes": {},
        "camvid": {"base_size": 960, "crop_size": (720, 960)},
        "gtav": {"base_size": 960},
    },
    "pmsdsen": {"cityscapes": {}, "camvid": {"crop_size": (720, 960), "jitter": 0.0}},
}
_LIKE = {"cityscapes_coarse": "cityscapes", "camvid32": "camvid"}

# PMSDSEN: crop width -> bounds of the scale.
_SCALE_OF_WIDTH = {
    256: (0.125, 0.25),
    480: (0.35, 1.0),
    512: (0.25, 0.5),
    960: (0.5, 2.5),
    1024: (0.35, 1.0),
    2048: (0.75, 2.0),
}


def settings(preset, dataset=None):
    """The options of a preset, as they are for a data set of the catalog."""
    if preset not in PRESETS:
        raise unknown("transform", preset, PRESETS)
    own = _FOR_DATASET.get(preset, {}).get(_LIKE.get(dataset, dataset), {})
    return {**PRESETS[preset], **own}


def default_sizes(preset, dataset, height, width):
    """The (base size, crop size) to train with where none are given.

    A data set that the preset was published for has its numbers, if the images are of the size
    they were meant for. Any other has its long side as the base, and a square crop of the short
    side, at most 480.

    Args:
        preset, dataset: names.
        height, width: of an image.

    Returns:
        The base size, None where scales refer to each image's own size; (height, width).
    """
    chosen = settings(preset, dataset)
    base, crop = chosen.get("base_size"), chosen["crop_size"]
    published = _LIKE.get(dataset, dataset) in _FOR_DATASET.get(preset, ())
    if published and max(height, width) >= max(base or 0, *crop):
        return base, crop
    side = min(height, width, 480)
    own_size = chosen.get("scale_rule") in ("factor", "log")
    return None if own_size else max(height, width), (side, side)


def _as_size(size):
    if isinstance(size, (int, np.integer)):
        return int(size), int(size)
    try:
        height, width = (int(v) for v in size)
    except (TypeError, ValueError):
        raise UsageError(f"The crop size {size!r} must be a number or (height, width).") from None
    return height, width


def create(preset="mxnetseg", dataset=None, **options):
    """A training transform.

    Args:
        preset: a name of :data:`PRESETS`.
        dataset: the name of a data set: some have sizes of their own in a preset.
        **options: attributes of :class:`Augmentation` that differ from the preset;
            ``crop_size`` may be a number for a square.

    Raises:
        UsageError: an unknown preset or option, or a value out of range.
    """
    chosen = settings(preset, dataset)
    known = [field.name for field in dataclasses.fields(Augmentation)]
    for option in options:
        if option not in known:
            raise unknown(f"option of the transform {preset}", option, known)
    chosen.update(options)
    chosen["crop_size"] = _as_size(chosen["crop_size"])
    if chosen.get("scale", ()) is None:
        chosen["scale"] = _SCALE_OF_WIDTH.get(chosen["crop_size"][1], (0.75, 2.0))
    for name in ("scale", "blur_sigma", "fill"):
        if chosen.get(name) is not None:
            chosen[name] = tuple(chosen[name])
    if chosen.get("mirror") is not None:
        chosen["mirror"] = tuple(int(c) for c in chosen["mirror"])
    for name, allowed in (
        ("pad", ("corner", "centre")),
        ("scale_rule", tuple(_SCALES)),
        ("resize", FILTERS),
    ):
        if name in chosen and chosen[name] not in allowed:
            raise unknown(f"value of '{name}'", chosen[name], allowed)
    return Augmentation(**chosen)


def sample_rng(seed, epoch, index):
    """The generator of a sample: a pure function of the three, whoever loads it."""
    return np.random.default_rng([_SAMPLE, *_words(seed), *_words(epoch), *_words(index)])


def order_rng(seed, epoch):
    """The generator of an epoch's order."""
    return np.random.default_rng([_ORDER, *_words(seed), *_words(epoch)])


# NumPy's seeds ignore trailing zeros: the first word keeps the two kinds apart.
_ORDER, _SAMPLE = 1, 2


def _words(number):
    if number < 0:
        raise UsageError(f"The seed {number} must not be negative.")
    number = int(number)
    return number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF
