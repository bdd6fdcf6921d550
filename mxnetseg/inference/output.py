"""What is written of a prediction: label map, colours, overlay, confidence."""

from pathlib import Path

import numpy as np

from .. import files
from ..data.images import as_picture
from ..palette import full_palette
from .pictures import ROWS, Look, paint
from .protocol import WHOLE_PIXELS


def write(out, name, image, classes, about, look=None, confidence=None):
    """Write labels/, color/, overlay/ and, with ``confidence``, scores/.

    Large pictures are written strip by strip.

    Args:
        out: folder. name: of the PNGs, below each of the folders.
        image: as :func:`~mxnetseg.data.images.read_image` gives it. classes: uint8 (H, W).
        about: Description of the classes. look: Look of the overlay.
        confidence: uint8 (H, W), 255 times the largest soft-max; None: not written.
    """
    out = Path(out)
    whole = paint(
        as_picture(image), classes, about.palette, about.classes, look or Look(), about.void_color
    )
    maps = {"labels": classes} if confidence is None else {"labels": classes, "scores": confidence}
    if classes.size > WHOLE_PIXELS:
        for folder, values in maps.items():
            files.write_png(out / folder / name, _rows(values), *values.shape)
        palette = full_palette(about.palette, about.void_color)
        files.write_png(out / "color" / name, _rows(classes), *classes.shape, palette)
        files.write_png(out / "overlay" / name, whole[2], *whole[:2])
        return
    for folder, values in maps.items():
        files.write(out / folder / name, files.png(values))
    color = files.palette_png(classes, about.palette, about.void_color)
    files.write(out / "color" / name, color)
    files.write(out / "overlay" / name, files.png(np.concatenate(list(whole[2]))))


def _rows(values):
    return (values[start : start + ROWS] for start in range(0, len(values), ROWS))
