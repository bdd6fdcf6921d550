"""What is written per image: class maps as labels and in colour, errors, what a server wants."""

from pathlib import PurePosixPath

import cv2
import numpy as np

from .. import files
from ..description import IGNORE

RIGHT, WRONG = 0, 1  # the values of an error map; IGNORE where the truth is ignored
ERROR_COLORS = np.array([(255, 255, 255), (214, 39, 40)], np.uint8)
IGNORED_COLOR = (150, 150, 150)


def output_name(name, taken):
    """The name of an image's PNG: sub-folders and the whole stem are kept.

    Args:
        name: path of the image below its root, with ``/``.
        taken: set of the names that exist already; grows. a.jpg and a.png become a.png and
            a.png.png.
    """
    path = PurePosixPath(name)
    found = str(path.with_suffix(".png"))
    if found in taken:
        found = f"{path}.png"
    taken.add(found)
    return found


class Folders:
    """Writes a PNG of the same name into each of some folders.

    Args:
        out: the folder above them. info: Description of the data.
        kinds: of ``color`` (palette PNG), ``labels`` (classes), ``raw`` (label values of the data
            set's files), ``errors`` (:func:`error_map` as palette PNG).
    """

    def __init__(self, out, info, kinds):
        self.out, self.info, self.kinds, self.taken = out, info, kinds, set()

    def __call__(self, name, classes, mask=None):
        """Write the class map of an image; ``errors`` only where there is a mask."""
        name = output_name(name, self.taken)
        for kind in self.kinds:
            if kind != "errors" or mask is not None:
                files.write(self.out / kind / name, self._content(kind, classes, mask))

    def _content(self, kind, classes, mask):
        if kind == "color":
            void = getattr(self.info, "void_color", (0, 0, 0))
            return files.palette_png(classes, self.info.palette, void)
        if kind == "errors":
            return files.palette_png(error_map(classes, mask), ERROR_COLORS, IGNORED_COLOR)
        return files.png(classes if kind == "labels" else to_raw(classes, self.info))


class Submission:
    """Writes submission.zip: label values as the data set's own files have them, flat names."""

    def __init__(self, archive, info):
        self.archive, self.info = archive, info

    def __call__(self, name, classes, mask=None):
        labels = files.png(to_raw(classes, self.info))
        self.archive.add(PurePosixPath(name).with_suffix(".png").name, labels)


def to_raw(classes, info):
    """Classes -> the label values of the data set's files, uint8 or uint16 (H, W)."""
    return cv2.LUT(classes, info.inverse)


def error_map(classes, mask):
    """uint8 (H, W): RIGHT, WRONG, or IGNORE where the mask is."""
    wrong = (classes != mask).astype(np.uint8)
    return np.where(mask == IGNORE, np.uint8(IGNORE), wrong)
