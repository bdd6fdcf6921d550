"""The training transform, on uint8 OpenCV arrays.

A transform is called as ``transform(image, mask, rng)`` and is a pure function of the three:
image uint8 (H, W, 3) RGB, mask uint8 (H, W) or None, rng a ``numpy.random.Generator``. It returns
image and mask of the crop size, still uint8; normalisation happens on the device. Images with other
channels (H, W, C), and float32 in 0..255, work likewise. With ``boundary`` it returns the boundary
map as well.
"""

import dataclasses
import math
from typing import Optional, Tuple

import cv2
import numpy as np

from ..boundary import edge_map
from ..description import IGNORE
from ..errors import UsageError
from .crops import MEAN_PIXEL, crop_resize, crop_rotate, pixel_of_a_class, place
from .opencv import by_channels


def flip(image, mask):
    """Mirror left and right. Classes that mean a side: see :func:`swap_sides`."""
    flipped = cv2.flip(image, 1).reshape(image.shape)  # OpenCV drops the axis of one channel
    return flipped, None if mask is None else cv2.flip(mask, 1)


def swap_sides(mask, mirror):
    """The classes of a mirrored mask: in a mirror a left shoe is a right shoe.

    Args:
        mirror: 256 numbers, class -> class (``info.mirror`` of a data set).
    """
    return cv2.LUT(mask, np.asarray(mirror, np.uint8))


def blur(image, sigma, kernel=0):
    """Gaussian blur; ``kernel`` 0: as large as ``sigma`` needs; ``sigma`` 0: as the kernel."""
    if kernel == 0 and sigma < 0.15:  # nothing that 8 bits would show
        return image
    return by_channels(lambda part: cv2.GaussianBlur(part, (kernel, kernel), sigma), image)


def grey_level(image):
    """The mean grey level of an image, about which :func:`jitter` changes contrast."""
    colored = image.dtype == np.uint8 and image.shape[2] == 3
    return float((cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if colored else image).mean())


def jitter(image, brightness, contrast, saturation, grey):
    """Scale brightness, contrast and saturation (1 = unchanged), in this order.

    Args:
        grey: :func:`grey_level` of the whole image, of which this may be a part.
    """
    mean = float(np.clip(grey * brightness, 0, 255))
    if image.dtype != np.uint8 or image.shape[2] != 3:
        return _jitter_channels(image, brightness, contrast, saturation, mean)
    levels = np.arange(256, dtype=np.float32) * brightness
    levels = np.clip(np.clip(levels, 0, 255) * contrast + mean * (1 - contrast), 0, 255)
    image = cv2.LUT(image, (levels + 0.5).astype(np.uint8))
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(image, saturation, grey, 1 - saturation, 0)


def _jitter_channels(image, brightness, contrast, saturation, mean):
    """The same for any channels, of which only three have a saturation."""
    changed = np.clip(image.astype(np.float32) * brightness, 0, 255)
    changed = np.clip(changed * contrast + mean * (1 - contrast), 0, 255)
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


SCALES = {
    "long-edge": _scale_long_edge,
    "factor": _scale_factor,
    "steps": _scale_steps,
    "log": _scale_log,
}

_EDGE_BIT = 8  # behind the class


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A training transform; see :mod:`.presets` for complete ones.

    Attributes:
        crop_size: (height, width) of the result.
        base_size: the long edge that the scale refers to; None: the image's own.
        scale: (smallest, largest) factor.
        scale_rule: ``long-edge`` (a whole number of pixels, uniform), ``factor`` (uniform),
            ``steps`` (of 0.1) or ``log`` (uniform in its logarithm).
        resize: one of :data:`.crops.FILTERS`.
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
        fill_label: the padding of the mask: 255, ignored, unless an original trains it as a class.
        mirror: class -> class in a mirrored image, 256 numbers (``info.mirror``), or None where
            mirroring changes no class.
        boundary: whether a third result is where classes meet, the target of networks with a
            boundary output: uint8 of the crop size, 1 at boundaries, else 0.
        boundary_from: what it is made from. ``crop``: the resulting mask, padding included.
            ``image``: the whole mask before all geometry, with which it is then resized, cropped
            and mirrored (SANet, PIDNet); there is no boundary where the crop is padded.
        boundary_frame: with ``image``, no boundary starts in so many pixels at the image's sides.
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
    fill_label: int = IGNORE
    mirror: Optional[Tuple[int, ...]] = None
    boundary: bool = False
    boundary_from: str = "crop"
    boundary_frame: int = 0

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
        if not (isinstance(self.boundary_frame, int) and self.boundary_frame >= 0):
            raise UsageError("'boundary_frame' must be a whole number, at least 0.")
        if not isinstance(self.fill_label, int) or not 0 <= self.fill_label <= IGNORE:
            raise UsageError(f"'fill_label' is a class or {IGNORE}, not {self.fill_label!r}.")

    def size(self, height, width, rng):
        """Draw the (height, width) that an image is resized to: the first draw of a sample."""
        scaled = SCALES[self.scale_rule](height, width, self.scale, self.base_size, rng)
        return max(scaled[0], 1), max(scaled[1], 1)

    def shrink(self, height, width, rng):
        """How many times smaller than (height, width) the image becomes; ``rng`` a fresh one."""
        scaled = self.size(height, width, rng)
        return min(height / scaled[0], width / scaled[1])

    def __call__(self, image, mask, rng):
        """uint8 (H, W, 3), uint8 (H, W) or None, generator -> both at ``crop_size``.

        The image may be decoded at 1 / k of the mask's size. With ``boundary`` there are three
        results, the last one None where there is no mask.
        """
        if len(self.fill) != image.shape[2]:
            raise UsageError(
                f"'fill' has {len(self.fill)} numbers for images of {image.shape[2]} channels."
            )
        full = image.shape if mask is None else mask.shape
        height, width = self.size(full[0], full[1], rng)
        grey = grey_level(image) if self.jitter else None
        around = None
        if self.balanced and rng.random() < self.balanced and mask is not None:
            around = pixel_of_a_class(mask, rng)
        window = place(height, width, self.crop_size, rng, self.pad, around)
        carried = self.boundary and self.boundary_from == "image" and mask is not None
        if carried:  # one number says both: the nearest pixel's
            edges = edge_map(mask, self.boundary_frame)
            mask = mask + np.left_shift(edges, _EDGE_BIT, dtype=np.uint16)
        if self.rotate and rng.random() < self.rotate:
            degrees = float(rng.uniform(-self.degrees, self.degrees))
            image, mask = crop_rotate(
                image, mask, window, self.crop_size, degrees, self.fill, self.fill_label
            )
            inside = None
        else:
            inside = window
            image, mask = crop_resize(
                image, mask, window, self.crop_size, self.fill, self.resize, self.fill_label
            )
        if self.blur and rng.random() < self.blur:
            sigma = float(rng.uniform(*self.blur_sigma)) if self.blur_sigma else 0.0
            image = self._inside(image, inside, lambda part: blur(part, sigma, self.blur_kernel))
        if self.jitter:
            factors = rng.uniform(1 - self.jitter, 1 + self.jitter, 3).tolist()
            image = self._inside(image, inside, lambda part: jitter(part, *factors, grey))
        flipped = self.flip and rng.random() < self.flip
        if flipped:
            image, mask = self._flip(image, mask, inside)
        edges = None
        if carried:
            edges = np.right_shift(mask, _EDGE_BIT).astype(np.uint8)
            mask = mask.astype(np.uint8)  # the lower 8 bits
        if flipped and self.mirror is not None and mask is not None:
            mask = swap_sides(mask, self.mirror)
        if not self.boundary:
            return image, mask
        if not carried and mask is not None:
            edges = edge_map(mask, frame=0)
        return image, mask, edges

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
