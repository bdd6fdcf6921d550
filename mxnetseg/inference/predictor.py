"""Class maps of somebody's own images, and pictures of them."""

import glob
import os
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cv2
import mxnet as mx
import numpy as np

from .. import files, progress
from ..data.content import ENDINGS, DataError
from ..data.images import as_image, as_picture, read_image
from ..errors import MXNetSegError, UsageError
from . import large, output
from .evaluator import in_turn
from .pictures import overlay
from .protocol import Protocol
from .writers import output_name


class Predictor:
    """A trained network that takes images.

    Args:
        backend: see :mod:`~mxnetseg.inference.backend`.
        description: Description of the data that the network was trained on.
        protocol: Protocol; by default the whole image, once.
    """

    def __init__(self, backend, description, protocol=None):
        self.backend, self.description = backend, description
        self.protocol = protocol or Protocol()

    def predict(self, image, context=0):
        """The class map uint8 (H, W) of an image.

        Args:
            image: (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey; uint8 or uint16. For a network
                with other channels, or a ``max_value``: (H, W, channels) numbers as in the files
                of its data set.
            context: which of the devices.
        """
        return self.classify(self.pixels(image), context)

    def pixels(self, image):
        """An image as the data set's files give it: what :meth:`classify` takes."""
        channels, max_value = self.description.channels, self.description.max_value
        if channels == 3 and max_value is None:
            return as_rgb(image)
        try:
            return as_image("The image", np.asarray(image), channels, max_value)
        except DataError as error:
            raise UsageError(f"The image {error.problem}.") from None

    def classify(self, pixels, context=0):
        """The class map of what :func:`~mxnetseg.data.read_image` returned."""
        return self.scored(pixels, context, False)[0]

    def scored(self, pixels, context=0, confidence=True):
        """The class map, and uint8 (H, W): 255 times the largest soft-max; or None."""
        return large.classify(self.backend, pixels, self.protocol, context, confidence)

    def picture(self, image, classes, alpha=0.5):
        """The classes' colours over the image, with a legend: uint8 RGB."""
        about = self.description
        pixels = as_picture(self.pixels(image))
        return overlay(pixels, classes, about.palette, about.classes, alpha)


def as_rgb(image):
    """An image of any mode as uint8 (H, W, 3); UsageError if it is none."""
    image = np.asarray(image)
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    good = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
    if image.dtype != np.uint8 or not good or not image.size:
        raise UsageError(
            f"An image is uint8 or uint16, (H, W), (H, W, 3) or (H, W, 4), not {image.dtype} "
            f"{image.shape}."
        )
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image[..., :3])


# --- files --------------------------------------------------------------------------------------


_READ = (*ENDINGS, ".npy")


class Source(NamedTuple):
    """An image file and the name of what is written for it, a relative path with ``/``."""

    path: str
    name: str


def find_images(arguments):
    """The image files that paths, folders (with their sub-folders) and globs stand for.

    Returns:
        A list of Source, every file once. A folder's files are named by their path below it, all
        others by their file name, or by their path below the common folder if two would be equal.

    Raises:
        UsageError: an argument stands for nothing.
    """
    found = {}
    for argument in arguments:
        text = os.path.expanduser(str(argument))
        if os.path.isdir(text):
            inside = (p for p in Path(text).rglob("*") if p.suffix.lower() in _READ)
            hits = [(p, p.relative_to(text).as_posix()) for p in sorted(inside) if p.is_file()]
            what = "has no images (" + " ".join(_READ) + ")"
        elif os.path.isfile(text):
            hits, what = [(Path(text), Path(text).name)], ""
        else:
            paths = sorted(p for p in glob.glob(text, recursive=True) if os.path.isfile(p))
            hits, what = [(Path(p), Path(p).name) for p in paths], "does not exist"
        if not hits:
            raise UsageError(f"{argument} {what}. Give images, folders or globs.")
        for path, name in hits:
            found.setdefault(os.path.realpath(str(path)), Source(str(path), name))
    sources = list(found.values())
    if len({s.name for s in sources}) < len(sources):
        common = os.path.commonpath([os.path.dirname(p) for p in found])
        names = (Path(os.path.relpath(p, common)).as_posix() for p in found)
        sources = [Source(s.path, name) for s, name in zip(sources, names)]
    return sources


def predict_files(predictor, images, out, look=None, scores=False):
    """Write labels/, color/ and overlay/ for images; what cannot be read is left out.

    Args:
        predictor: Predictor.
        images: list of Source (:func:`find_images`) or paths.
        out: folder.
        look: Look of the overlay.
        scores: whether to write scores/, grey pictures of the largest soft-max.

    Returns:
        A sentence for every image that failed, in order.

    Raises:
        MXNetSegError: the folder cannot be written.
    """
    out, about = Path(out), predictor.description
    files.check_folder(out)
    sources = [s if isinstance(s, Source) else Source(str(s), Path(s).name) for s in images]

    def read(source):
        try:
            return source, read_image(source.path, about.channels, about.max_value)
        except MXNetSegError as error:
            return source, error

    def work(thing, context):
        source, image = thing
        if isinstance(image, MXNetSegError):
            return image
        try:
            return predictor.scored(image, context, scores)
        except MXNetSegError as error:
            return MXNetSegError(f"{source.path}: {error}")
        except mx.MXNetError as error:
            reason = str(error).strip().splitlines()[-1]
            return MXNetSegError(f"{source.path} cannot be predicted: {reason}")

    failures, taken = [], set()
    bar = progress.bar(total=len(sources), unit="image")
    with bar, closing(in_turn(read, work, sources, predictor.backend.devices)) as results:
        for (source, image), found in results:
            bar.update()
            if isinstance(found, MXNetSegError):
                failures.append(str(found))
                continue
            name = output_name(PurePosixPath(source.name), taken)
            classes, confidence = found
            output.write(out, name, image, classes, about, look, confidence)
    return failures
