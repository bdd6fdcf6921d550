"""Training transforms on uint8 OpenCV arrays.

A transform is called as ``transform(image, mask, rng)`` and is a pure function of the three:
image uint8 (H, W, 3) RGB, mask uint8 (H, W) or None, rng a ``numpy.random.Generator``. It returns
image and mask of the crop size, still uint8; normalisation happens on the device.

Only what the crop will show is resized: first the size, the window and the flip are drawn, then
the source rectangle of the window is taken. This costs 3 ms where whole-image resizing costs 100
(Cityscapes, crop 768).
"""

import dataclasses
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from ..errors import UsageError
from ..registry import unknown
from .spec import IGNORE

MEAN_PIXEL = (124, 116, 104)
"""The rounded ImageNet mean: 0 after normalisation."""

# Shrinking by more than this needs averaging, or fine structures alias.
_AREA_FROM = 1.3


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


def place(height, width, crop, rng, pad="corner"):
    """Draw the window of a crop from a resized image of ``height`` x ``width``.

    An edge shorter than the crop is padded: at the bottom and right (``corner``) or on both
    sides (``centre``).
    """
    offsets = []
    for size, room in ((height, crop[0]), (width, crop[1])):
        if size > room:
            offsets.append(-int(rng.integers(0, size - room + 1)))
        else:
            offsets.append((room - size) // 2 if pad == "centre" else 0)
    return Window(height, width, *offsets)


def _visible(length, size, offset, room):
    """One axis: the visible part of the canvas and the rectangle of the source behind it."""
    begin, end = max(offset, 0), min(offset + size, room)
    step = length / size
    first = int(round((begin - offset) * step))
    last = max(int(round((end - offset) * step)), first + 1)
    if last > length:
        first, last = min(first, length - 1), length
    return begin, end, first, last


def crop_resize(image, mask, window, crop, fill=MEAN_PIXEL, area=True):
    """Resize to the window's size and crop, in one go.

    The rectangle is rounded to whole source pixels, for image and mask alike: they stay aligned
    with each other, and the place differs from that of whole-image resizing by less than one
    source pixel.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 (H, W) or None.
        window: see :class:`Window`.
        crop: (height, width) of the result.
        fill: RGB outside of the image; the mask is ignored there.
        area: average when shrinking much; else always bilinear.
    """
    y0, y1, top, bottom = _visible(image.shape[0], window.height, window.top, crop[0])
    x0, x1, left, right = _visible(image.shape[1], window.width, window.left, crop[1])
    size = (x1 - x0, y1 - y0)
    shrink = max((bottom - top) / size[1], (right - left) / size[0])
    how = cv2.INTER_AREA if area and shrink > _AREA_FROM else cv2.INTER_LINEAR
    part = cv2.resize(image[top:bottom, left:right], size, interpolation=how)
    part_mask = None
    if mask is not None:
        # Nearest by pixel centres, as the image; INTER_NEAREST is half a pixel off.
        part_mask = cv2.resize(
            mask[top:bottom, left:right], size, interpolation=cv2.INTER_NEAREST_EXACT
        )
    return _on_canvas(part, part_mask, y0, x0, crop, fill)


def _on_canvas(part, part_mask, top, left, crop, fill):
    """Pad to the crop: the image with ``fill``, the mask with ignore, never with a class."""
    height, width = part.shape[:2]
    if (height, width) == tuple(crop):
        return part, part_mask
    image = np.empty((crop[0], crop[1], 3), np.uint8)
    image[:] = fill
    image[top : top + height, left : left + width] = part
    if part_mask is None:
        return image, None
    mask = np.full((crop[0], crop[1]), IGNORE, np.uint8)
    mask[top : top + height, left : left + width] = part_mask
    return image, mask


def crop_rotate(image, mask, window, crop, degrees, fill=MEAN_PIXEL):
    """As :func:`crop_resize`, with a rotation about the centre of the resized image between."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((window.width / 2, window.height / 2), degrees, 1)
    turn[:, 2] += (window.left, window.top)
    scale = np.array([[window.width / width, 0, 0], [0, window.height / height, 0], [0, 0, 1]])
    # Pixel centres: scaling maps x + 0.5, warpAffine maps x.
    scale[:2, 2] = 0.5 * scale.diagonal()[:2] - 0.5
    matrix = turn @ scale
    size = (crop[1], crop[0])
    image = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=fill)
    if mask is not None:
        mask = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_NEAREST, borderValue=IGNORE)
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
    """Mirror left and right."""
    return cv2.flip(image, 1), None if mask is None else cv2.flip(mask, 1)


def blur(image, sigma, kernel=0):
    """Gaussian blur; ``kernel`` 0: as large as ``sigma`` needs; ``sigma`` 0: as the kernel."""
    if kernel == 0 and sigma < 0.15:  # nothing that 8 bits would show
        return image
    return cv2.GaussianBlur(image, (kernel, kernel), sigma)


def jitter(image, brightness, contrast, saturation):
    """Scale brightness, contrast and saturation (1 = unchanged), in this order."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    levels = np.arange(256, dtype=np.float32) * brightness
    mean = float(np.clip(grey.mean() * brightness, 0, 255))
    levels = np.clip(np.clip(levels, 0, 255) * contrast + mean * (1 - contrast), 0, 255)
    image = cv2.LUT(image, (levels + 0.5).astype(np.uint8))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)


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


_SCALES = {"long-edge": _scale_long_edge, "factor": _scale_factor}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A training transform; see :data:`PRESETS` for complete ones.

    Attributes:
        crop_size: (height, width) of the result.
        base_size: the long edge that the scale refers to; None: the image's own.
        scale: (smallest, largest) factor.
        scale_rule: ``long-edge`` or ``factor``.
        area: average when shrinking much.
        rotate: probability of a rotation by up to ``degrees``.
        flip: probability of a mirror image.
        blur: probability of a Gaussian blur.
        blur_sigma: (smallest, largest) sigma, or None: as ``blur_kernel`` has it.
        blur_kernel: its size; 0: as sigma needs.
        jitter: brightness, contrast, saturation factors are drawn from 1 - jitter .. 1 + jitter.
        pad: ``corner`` (bottom and right) or ``centre`` (all sides).
        fill: RGB of the padding.
    """

    crop_size: Tuple[int, int]
    base_size: Optional[int] = None
    scale: Tuple[float, float] = (0.5, 2.0)
    scale_rule: str = "long-edge"
    area: bool = True
    rotate: float = 0.0
    degrees: float = 10.0
    flip: float = 0.5
    blur: float = 0.5
    blur_sigma: Optional[Tuple[float, float]] = (0.0, 1.0)
    blur_kernel: int = 0
    jitter: float = 0.0
    pad: str = "corner"
    fill: Tuple[int, int, int] = MEAN_PIXEL

    def __post_init__(self):
        if min(self.crop_size) < 1:
            raise UsageError(f"The crop size {self.crop_size} must be positive.")
        if self.base_size is not None and self.base_size < 1:
            raise UsageError(f"The base size {self.base_size} must be positive.")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise UsageError(f"The scale range {self.scale} must be positive and in order.")
        for name in ("rotate", "flip", "blur"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"The probability '{name}' must lie in 0..1.")
        if not 0 <= self.jitter <= 1:
            raise UsageError("'jitter' must lie in 0..1.")

    def __call__(self, image, mask, rng):
        """uint8 (H, W, 3), uint8 (H, W) or None, generator -> both at ``crop_size``."""
        height, width = _SCALES[self.scale_rule](
            image.shape[0], image.shape[1], self.scale, self.base_size, rng
        )
        window = place(max(height, 1), max(width, 1), self.crop_size, rng, self.pad)
        if self.rotate and rng.random() < self.rotate:
            degrees = float(rng.uniform(-self.degrees, self.degrees))
            image, mask = crop_rotate(image, mask, window, self.crop_size, degrees, self.fill)
            inside = None
        else:
            inside = window
            image, mask = crop_resize(image, mask, window, self.crop_size, self.fill, self.area)
        if self.blur and rng.random() < self.blur:
            sigma = float(rng.uniform(*self.blur_sigma)) if self.blur_sigma else 0.0
            image = self._inside(image, inside, lambda part: blur(part, sigma, self.blur_kernel))
        if self.jitter:
            factors = rng.uniform(1 - self.jitter, 1 + self.jitter, 3)
            image = self._inside(image, inside, lambda part: jitter(part, *map(float, factors)))
        if self.flip and rng.random() < self.flip:
            image, mask = self._flip(image, mask, inside)
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
# padding is the mean and ignored (MXNetSeg: black, and trained as label value 0), scaling
# differs in the last digits (OpenCV for PIL, whole source pixels).
PRESETS = {
    # GluonCV, MXNetSeg: PIL's bilinear averages when it shrinks, hence area.
    "mxnetseg": {"base_size": 520, "crop_size": (480, 480)},
    # semseg, MLMSNet: plain bilinear, rotation, 5x5 blur, padding on all sides.
    "semseg": {
        "crop_size": (473, 473),
        "scale_rule": "factor",
        "area": False,
        "rotate": 0.5,
        "degrees": 10.0,
        "blur_sigma": None,
        "blur_kernel": 5,
        "pad": "centre",
    },
}


def _as_size(size):
    if isinstance(size, (int, np.integer)):
        return int(size), int(size)
    try:
        height, width = (int(v) for v in size)
    except (TypeError, ValueError):
        raise UsageError(f"The crop size {size!r} must be a number or (height, width).") from None
    return height, width


def create(preset="mxnetseg", **options):
    """A training transform.

    Args:
        preset: a name of :data:`PRESETS`.
        **options: attributes of :class:`Augmentation` that differ from the preset;
            ``crop_size`` may be a number for a square.

    Raises:
        UsageError: an unknown preset or option, or a value out of range.
    """
    if preset not in PRESETS:
        raise unknown("transform", preset, PRESETS)
    known = [field.name for field in dataclasses.fields(Augmentation)]
    for option in options:
        if option not in known:
            raise unknown(f"option of the transform {preset}", option, known)
    settings = {**PRESETS[preset], **options}
    settings["crop_size"] = _as_size(settings["crop_size"])
    for name in ("scale", "blur_sigma", "fill"):
        if settings.get(name) is not None:
            settings[name] = tuple(settings[name])
    for name, allowed in (("pad", ("corner", "centre")), ("scale_rule", tuple(_SCALES))):
        if name in settings and settings[name] not in allowed:
            raise unknown(f"value of '{name}'", settings[name], allowed)
    return Augmentation(**settings)


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
