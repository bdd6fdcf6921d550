"""NYU Depth v2: images and the 40 classes out of the labelled .mat file."""

import threading

import numpy as np

from ...errors import MXNetSegError
from ...files import png
from .. import masks, sources
from .plan import file_values, find, hdf5, mat


def plan(plan):
    """NYUv2: nyu_depth_v2_labeled.mat, splits.mat -> images/*.png, labels40/*.png, lists.

    The arrays are stored width first; they are transposed and nothing else, so that pictures are
    as the camera saw them (MXNetSeg's own preparation mirrors them). The masks are those of
    labels40.mat where it is there; else raw labels become the 40 classes by the usual table. File
    values are 0 = void, 1 .. 40.
    """
    big, labels40 = find(plan.root, "nyu_depth_v2_labeled.mat"), plan.root / "labels40.mat"
    splits = mat(find(plan.root, "splits.mat"))
    file, lock = hdf5(big), threading.Lock()
    for name in ("images",) if labels40.is_file() else ("images", "labels"):
        if name not in file:
            raise MXNetSegError(f"{big} holds no '{name}'; use the labelled file of NYU Depth v2.")
    images = file["images"]

    def frame(array, index):
        with lock:  # HDF5 reads one at a time
            return np.asarray(array[index]).T

    mask = _labels40(labels40, images) if labels40.is_file() else _by_table(frame, file["labels"])
    for split, variable in (("train", "trainNdxs"), ("val", "testNdxs")):
        if variable not in splits:
            raise MXNetSegError(f"splits.mat holds no '{variable}'; use the one of NYU Depth v2.")
        numbers = [int(n) - 1 for n in np.ravel(splits[variable])]  # from 1 in MATLAB
        if numbers and max(numbers) >= len(images):
            raise MXNetSegError(
                f"{big} holds {len(images)} images, but splits.mat names number "
                f"{max(numbers) + 1}; download it again."
            )
        for n in numbers:
            plan.make(f"images/{n}.png", lambda n=n: png(frame(images, n)))
            plan.make(f"labels40/{n}.png", mask, n)
        plan.list(f"{split}.txt", numbers)


def _by_table(frame, labels):
    table = file_values(sources.info("nyuv2").labels["raw894"].lut)

    def mask(index):
        raw = frame(labels, index)
        return png(table[np.minimum(raw, len(table) - 1)])

    return mask


def _labels40(path, images):
    """labels40.mat holds (height, width, images)."""
    labels, form = mat(path, "labels40"), sources.info("nyuv2").labels[""]
    count, _, width, height = images.shape
    if labels.shape != (height, width, count):
        raise MXNetSegError(
            f"labels40 in {path} has the shape {labels.shape}, but the images are "
            f"{(height, width, count)}; use the file that belongs to them."
        )

    def mask(index):
        found = labels[..., index].astype(np.uint16)
        masks.to_classes(f"{path}, image {index + 1}", found, form)  # unknown values: an error
        return png(found.astype(np.uint8))

    return mask
