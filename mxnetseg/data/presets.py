"""The training transforms of the originals, by name.

They stand on crop-first 8-bit ground. Differences to the originals: padding is the mean and
ignored (theirs: black, MXNetSeg even trains it as label value 0), scaling differs in the last
digits (OpenCV for PIL, whole source pixels), SANet's label is resized by pixel centres.
"""

import dataclasses

import numpy as np

from ..errors import UsageError
from ..registry import unknown
from .augment import SCALES, Augmentation
from .crops import FILTERS

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
    # SANet, PIDNet: scales 0.5, 0.6 ... 2.1, nothing else. The boundary target is made from the
    # whole label; Cityscapes' annotations end 6 pixels from the sides.
    "sanet": {
        "base_size": 2048,
        "crop_size": (1024, 1024),
        "scale": (0.5, 2.1),
        "scale_rule": "steps",
        "resize": "bilinear",
        "blur": 0.0,
        "boundary_from": "image",
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
        "cityscapes": {"boundary_frame": 6},
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
        ("scale_rule", tuple(SCALES)),
        ("resize", FILTERS),
        ("boundary_from", ("crop", "image")),
    ):
        if name in chosen and chosen[name] not in allowed:
            raise unknown(f"value of '{name}'", chosen[name], allowed)
    return Augmentation(**chosen)
