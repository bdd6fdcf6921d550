"""SUN RGB-D: the 37-class masks and the official division out of the toolbox."""

import threading

import numpy as np

from ...errors import MXNetSegError
from ...files import png
from .. import masks
from ..images import read_image
from .plan import find, hdf5, mat


def plan(plan):
    """SUN RGB-D: SUNRGBD and SUNRGBDtoolbox -> images/*.jpg, labels/*.png, train.txt, test.txt.

    Image n of SUNRGBDMeta.mat becomes img-<n>.jpg, its mask img-<n>.png with 0 = void, 1 .. 37.
    """
    toolbox = find(plan.root, "SUNRGBDtoolbox")
    images = find(plan.root, "SUNRGBD")
    meta = np.ravel(mat(find(toolbox, "Metadata/SUNRGBDMeta.mat"), "SUNRGBDMeta"))
    places = find(toolbox, "traintestSUNRGBD/allsplit.mat")
    split_of = {}
    for split, variable in (("train", "alltrain"), ("test", "alltest")):
        for folder in np.ravel(mat(places, variable)):
            split_of[_below(str(folder))] = split
    file, lock = hdf5(find(toolbox, "Metadata/SUNRGBD2Dseg.mat")), threading.Lock()
    labels = np.ravel(file["SUNRGBD2Dseg"]["seglabel"][()])
    if len(labels) != len(meta):
        raise MXNetSegError(
            f"SUNRGBD2Dseg.mat has {len(labels)} masks, SUNRGBDMeta.mat {len(meta)} images; "
            "download the toolbox again."
        )

    def mask(index, image):
        with lock:  # the file is tens of GB: one mask at a time
            raw = np.asarray(file[labels[index]]).T
        masks.check_sizes(image, read_image(image).shape, f"mask {index + 1}", raw.shape)
        if raw.max() > 37:
            raise MXNetSegError(f"Mask {index + 1} of SUNRGBD2Dseg.mat has the label {raw.max()}.")
        return png(raw.astype(np.uint8))

    lines = {"train": [], "test": []}
    for index, record in enumerate(meta):
        try:
            folder = _below(str(record.rgbpath)).rsplit("/image/", 1)[0]
            name = str(record.rgbname)
        except AttributeError as error:
            raise MXNetSegError(
                f"SUNRGBDMeta.mat is not the toolbox's ({error}); download the toolbox again."
            ) from None
        if folder not in split_of:
            continue
        stem = f"img-{index + 1:06d}"
        image = images / folder / "image" / name
        if not image.is_file():
            raise MXNetSegError(f"{image} does not exist; unpack SUNRGBD.zip completely.")
        plan.link(f"images/{stem}.jpg", image)
        plan.make(f"labels/{stem}.png", mask, index, image)
        lines[split_of[folder]].append(f"{stem}.jpg {stem}.png")
    for split, text in lines.items():
        plan.list(f"{split}.txt", text)


def _below(path):
    """The part of somebody's absolute path below the folder SUNRGBD."""
    return path.replace("\\", "/").rstrip("/").split("SUNRGBD/", 1)[-1]
