"""Cheaper samples: decoded once and kept, in memory or on disk, or decoded at a smaller size.

Decoding is nearly all that a training sample costs (Cityscapes: 52 of 55 ms). Kept arrays take
three bytes per pixel and one for the mask: 8.4 MB for 2048 x 1024, 25 GB for Cityscapes' training
images.
"""

import hashlib
import threading
from pathlib import Path

import cv2
import numpy as np

from .. import files
from ..errors import MXNetSegError, UsageError
from . import images, masks
from .content import read_intact, sniff
from .sample import Sample
from .stats import fingerprint_of

GB = 1 << 30


class Cached:
    """A data set whose samples are decoded once.

    Memory keeps the first samples that fit and never drops one: every epoch visits each image
    once in a new order, so whatever was dropped would be missed just as often. On disk a sample is
    two ``.npy`` files, which are memory-mapped: a crop reads only the rows that it needs, and
    the system keeps in memory what fits. A file's path, size and time of change and the label table
    are in the name, so that changed files are decoded anew; old ones are never removed.

    Samples are read-only. Reading is thread-safe; a copy in another process keeps its own memory.

    Args:
        dataset: the one to read.
        memory: budget in bytes.
        folder: for arrays on disk; None: none.
    """

    def __init__(self, dataset, memory=0, folder=None):
        if memory < 0:
            raise UsageError("The memory for decoded images must not be negative.")
        self.dataset, self.memory = dataset, int(memory)
        self.folder = None if folder is None else Path(folder).expanduser()
        if self.folder is not None and not hasattr(dataset, "pairs"):
            raise UsageError(
                f"{dataset.info.title} is drawn, not read: there is nothing to keep on disk. Drop "
                "data.cache_folder."
            )
        self._kept, self._used, self._lock = {}, 0, threading.Lock()

    def __getattr__(self, name):
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self):
        return len(self.dataset)

    def __getstate__(self):
        return {"dataset": self.dataset, "memory": self.memory, "folder": self.folder}

    def __setstate__(self, state):
        self.__dict__.update(state, _kept={}, _used=0, _lock=threading.Lock())

    def __getitem__(self, index):
        """Sample ``index``, as the data set gives it."""
        sample = self._kept.get(index)
        if sample is not None:
            return sample
        sample = self.dataset[index] if self.folder is None else self._from_disk(index)
        size = sample.image.nbytes + (0 if sample.mask is None else sample.mask.nbytes)
        with self._lock:
            if index not in self._kept and self._used + size <= self.memory:
                image, mask = (_frozen(a) for a in sample[:2])
                self._kept[index] = sample._replace(image=image, mask=mask)
                self._used += size
        return self._kept.get(index, sample)

    def _from_disk(self, index):
        key = hashlib.sha256(fingerprint_of(self.dataset, index).encode()).hexdigest()
        stem = self.folder / key[:2] / key
        image = _load(f"{stem}.image.npy")
        masked = self.dataset.has_masks
        mask = _load(f"{stem}.mask.npy") if masked else None
        if image is not None and (mask is not None or not masked):
            return Sample(image, mask, self.dataset.names[index])
        sample = self.dataset[index]
        _save(f"{stem}.image.npy", sample.image)
        if masked:
            _save(f"{stem}.mask.npy", sample.mask)
        return sample


class ReducedJpeg:
    """A data set whose JPEG images are decoded at 1/2, 1/4 or 1/8 where training shrinks them so.

    A JPEG decoder makes small images for a part of the price (1/2: a third). It averages, as
    ``area`` does; the pixels differ a little from those of the whole image. The mask is
    read whole.

    Args:
        dataset: a :class:`~mxnetseg.data.FileDataset`; others are read as they are.
    """

    def __init__(self, dataset):
        self.dataset = dataset

    def __getattr__(self, name):
        if name.startswith("__") or name == "dataset":
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        """Sample ``index``, whole."""
        return self.dataset[index]

    def reduced(self, index, shrink):
        """Sample ``index`` with an image that may be smaller than its mask by 2, 4 or 8.

        Args:
            shrink: ``shrink(height, width)`` tells how many times smaller than its file the image
                will become.
        """
        pairs, info = getattr(self.dataset, "pairs", None), self.dataset.info
        facts = info.spec
        special = facts.short_edge or facts.channels != 3 or facts.max_value is not None
        special = special or facts.resize_masks
        if pairs is None or pairs[index].mask is None or special:
            return self.dataset[index]
        pair = pairs[index]
        if not pair.image.lower().endswith((".jpg", ".jpeg")):
            return self.dataset[index]
        mask = masks.read_mask(pair.parts or pair.mask, info, pair.form)
        allowed = shrink(*mask.shape)
        factor = max(k for k in (1, 2, 4, 8) if k <= max(allowed, 1))
        content = read_intact(pair.image, facts.truncated_images)
        if factor > 1 and sniff(content) == "jpeg":
            image = cv2.imdecode(content, _REDUCED[factor] | cv2.IMREAD_IGNORE_ORIENTATION)
            if image is not None and image.shape[:2] == tuple(-(-n // factor) for n in mask.shape):
                image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)
                return Sample(image, mask, pair.name)
        image = images.decode_image(pair.image, content)  # tells what is wrong, if anything is
        masks.check_sizes(pair.image, image.shape, pair.mask, mask.shape)
        return Sample(image, mask, pair.name)


_REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def _frozen(array):
    """A copy in memory that nobody can change; None stays None."""
    if array is None:
        return None
    array = np.array(array)
    array.setflags(write=False)
    return array


def _load(path):
    """The array in a file, memory-mapped; None if it is not there or damaged."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None


def _save(path, array):
    """Write aside, then rename: another process may write the same at the same time."""
    try:
        with files.replacing(path, "The decoded image ") as aside, open(aside, "wb") as file:
            np.save(file, array, allow_pickle=False)
    except MXNetSegError as error:
        raise MXNetSegError(
            f"{error} Free some space, or choose another data.cache_folder."
        ) from None
