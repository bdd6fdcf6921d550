"""NYU Depth v2: images and the 40 classes out of the labelled .mat file."""

import threading

import numpy as np

from ...errors import MXNetSegError
from .. import spec
from .plan import file_values, find, hdf5, mat, png


def plan(plan):
    """NYUv2: nyu_depth_v2_labeled.mat, splits.mat -> images/*.png, labels40/*.png, lists.

    The arrays are stored width first; they are transposed and nothing else, so that pictures are
    as the camera saw them (MXNetSeg's own preparation mirrors them). Raw labels become the 40
    classes by the usual table; file values are 0 = void, 1 .. 40.
    """
    big = find(plan.root, "nyu_depth_v2_labeled.mat")
    splits = mat(find(plan.root, "splits.mat"))
    file, lock = hdf5(big), threading.Lock()
    for name in ("images", "labels"):
        if name not in file:
            raise MXNetSegError(f"{big} holds no '{name}'; use the labelled file of NYU Depth v2.")
    images, labels = file["images"], file["labels"]
    table = file_values(spec.info("nyuv2").labels["raw894"].lut)

    def frame(array, index):
        with lock:  # HDF5 reads one at a time
            return np.asarray(array[index]).T

    def mask(index):
        raw = frame(labels, index)
        return png(table[np.minimum(raw, len(table) - 1)])

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
