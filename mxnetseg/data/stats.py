"""The numbers of a data set: mean and deviation of the channels, class frequencies, class weights.

:func:`measure` reads every file once, in threads, and keeps what it found in the user's cache
folder (``$MXNETSEG_CACHE``, else ``$XDG_CACHE_HOME/mxnetseg``, else ``~/.cache/mxnetseg``), never
beside the data. The key holds the path, size and time of change of every file and the label
table, so that a changed data set is measured again.

With n_c the pixels of class c, N the sum of all n_c, f_c = n_c / N, and p_c the labelled pixels of
those images in which class c occurs, :func:`class_weights` gives

=============== ============================================================================
``median``      median frequency balancing (Eigen and Fergus, 2015; SegNet): with
                g_c = n_c / p_c, w_c = median(g) / g_c; the median is over the classes that occur
``enet``        ENet (Paszke et al., 2016): w_c = 1 / ln(1.02 + f_c), from 1.42 to 50.5
``inverse_log`` w_c = 1 / ln(n_c), divided by their mean: the gentle weights near 1 that are
                common for Cityscapes
=============== ============================================================================

Ignored pixels count nowhere. A class that never occurs gets ENet's 50.5; the other rules have no
number for it and give the largest weight of the others.
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import io
import os
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from .. import files
from ..columns import counted
from ..errors import MXNetSegError, UsageError
from ..registry import unknown
from ..runtime import usable_cores
from .opencv import histogram, one_thread

RULES = ("median", "enet", "inverse_log")
_VERSION = 1


@dataclasses.dataclass
class Stats:
    """The numbers of a split.

    Attributes:
        dataset, split: what was measured.
        classes: class names.
        mean, std: per channel, over all pixels, on 0..1.
        counts: int64 (images, classes), pixels of each class in each image.
        ignored: ignored pixels.
    """

    dataset: str
    split: str
    classes: List[str]
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    counts: np.ndarray
    ignored: int

    @property
    def images(self):
        return len(self.counts)

    @property
    def pixels(self):
        """Pixels per class: int64 (classes,)."""
        return self.counts.sum(axis=0)

    @property
    def frequencies(self):
        """The share of each class in the labelled pixels."""
        return self.pixels / max(int(self.pixels.sum()), 1)

    @property
    def occurs(self):
        """Images per class."""
        return (self.counts > 0).sum(axis=0)

    def as_dict(self):
        """For JSON."""
        weights = {rule: class_weights(self.counts, rule) for rule in RULES}
        return {
            "dataset": self.dataset,
            "split": self.split,
            "images": self.images,
            "mean": list(self.mean),
            "std": list(self.std),
            "ignored": self.ignored / max(self.ignored + int(self.pixels.sum()), 1),
            "classes": [
                {
                    "name": name,
                    "pixels": int(self.pixels[c]),
                    "frequency": float(self.frequencies[c]),
                    "images": int(self.occurs[c]),
                    "weights": {rule: weights[rule][c] for rule in RULES},
                }
                for c, name in enumerate(self.classes)
            ],
        }

    def as_text(self):
        """A table for people."""
        numbers = self.as_dict()
        lines = [
            f"{self.dataset}, split '{self.split}', {counted(self.images, 'image')}, "
            f"{100 * numbers['ignored']:.2f} % of the pixels ignored",
            "",
            f"mean: [{', '.join(f'{m:.4f}' for m in self.mean)}]",
            f"std: [{', '.join(f'{s:.4f}' for s in self.std)}]",
            "",
        ]
        width = max(len(name) for name in (*self.classes, "class"))
        header = f"{'class':{width}s} {'pixels %':>9s} {'in images':>9s}"
        lines.append(header + "".join(f" {rule:>11s}" for rule in RULES))
        for entry in numbers["classes"]:
            weights = "".join(f" {entry['weights'][rule]:11.4f}" for rule in RULES)
            lines.append(
                f"{entry['name']:{width}s} {100 * entry['frequency']:9.3f} "
                f"{entry['images']:9d}{weights}"
            )
        absent = [e["name"] for e in numbers["classes"] if not e["pixels"]]
        if absent:
            lines += ["", f"never seen: {', '.join(absent)}"]
        return "\n".join(lines)


def class_weights(counts, rule):
    """The weight of each class in the loss: a list of floats.

    Args:
        counts: (images, classes) pixels, as :attr:`Stats.counts`.
        rule: one of :data:`RULES`; the module says what they are.

    Raises:
        UsageError: an unknown rule, or not one labelled pixel.
    """
    if rule not in RULES:
        raise unknown("rule of class weights", rule, RULES)
    counts = np.asarray(counts, np.float64)
    pixels = counts.sum(axis=0)
    seen = pixels > 0
    if not seen.any():
        raise UsageError("There is not one labelled pixel, so there are no class weights.")
    weights = np.zeros(len(pixels))
    if rule == "enet":
        weights = 1 / np.log(1.02 + pixels / pixels.sum())
    elif rule == "median":
        where = ((counts > 0) * counts.sum(axis=1, keepdims=True)).sum(axis=0)
        frequency = pixels[seen] / where[seen]
        weights[seen] = np.median(frequency) / frequency
        weights[~seen] = weights[seen].max()
    else:
        # A class of one or two pixels has no logarithm to speak of.
        weights[seen] = 1 / np.log(np.maximum(pixels[seen], 3))
        weights[~seen] = weights[seen].max()
        weights /= weights.mean()
    return [float(w) for w in weights]


def measure(dataset, workers=None, progress=None, cache=True):
    """Measure a data set.

    Args:
        dataset: a labelled one, of :func:`~mxnetseg.data.create`.
        workers: threads. Default: the usable cores.
        progress: called with an iterable and ``total=``, returns it wrapped (``tqdm.tqdm``).
        cache: take the numbers of an earlier time, and keep these.

    Returns:
        Stats

    Raises:
        UsageError: the data set has no masks.
        MXNetSegError: a broken file.
    """
    if not dataset.has_masks:
        raise UsageError(
            f"The split '{dataset.split}' of {dataset.info.title} has no masks; choose another."
        )
    key = fingerprint(dataset) if cache else None
    found = _recall(key, dataset.info.num_classes)
    if found is None:
        found = _measure(dataset, workers or usable_cores(), progress)
        _remember(key, found)
    info = dataset.info
    return Stats(
        info.title,
        dataset.split,
        list(info.classes),
        tuple(float(v) for v in found["mean"]),
        tuple(float(v) for v in found["std"]),
        found["counts"],
        int(found["ignored"]),
    )


def _measure(dataset, workers, progress):
    counts = np.zeros((len(dataset), dataset.info.num_classes), np.int64)
    ignored, pixels, sums, squares = 0, 0, 0.0, 0.0
    with one_thread(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        done = pool.map(lambda index: _numbers(dataset[index]), range(len(dataset)))
        if progress:
            done = progress(done, total=len(dataset))
        for index, (labels, size, total, square) in enumerate(done):
            counts[index] = labels[: counts.shape[1]]
            ignored += int(labels[255])
            pixels, sums, squares = pixels + size, sums + total, squares + square
    mean = sums / pixels
    return {
        "mean": mean,
        "std": np.sqrt(np.maximum(squares / pixels - mean**2, 0)),
        "counts": counts,
        "ignored": ignored,
    }


def _numbers(sample):
    """Label histogram, number of pixels, sums and sums of squares per channel (on 0..1)."""
    labels = histogram(sample.mask)
    image = sample.image
    size = image.shape[0] * image.shape[1]
    channels = [np.ascontiguousarray(image[..., c]) for c in range(image.shape[2])]
    if image.dtype == np.uint8:  # exact, and faster than floating point
        values = np.arange(256) / 255
        bins = np.stack([histogram(channel) for channel in channels])
        return labels, size, bins @ values, bins @ values**2
    planes = [channel.astype(np.float64) / 255 for channel in channels]
    return (
        labels,
        size,
        np.array([plane.sum() for plane in planes]),
        np.array([(plane**2).sum() for plane in planes]),
    )


# --- what was measured before ------------------------------------------------------------------


def cache_folder():
    """The user's folder for what can be made again."""
    own = os.environ.get("MXNETSEG_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "mxnetseg"


def fingerprint(dataset):
    """A text that changes when a file of the data set or its label table changes.

    None for drawn pictures, which have no files.
    """
    if not hasattr(dataset, "pairs"):
        return None
    digest = hashlib.sha256(_facts(dataset.info).encode())
    for pair in dataset.pairs:
        digest.update(repr([_file(part) for part in pair]).encode())
    return digest.hexdigest()


def fingerprint_of(dataset, index):
    """The same for one sample."""
    return _facts(dataset.info) + repr([_file(part) for part in dataset.pairs[index]])


def _facts(info):
    """What decides how the files of a data set are read."""
    return f"{_VERSION} {info.spec.model_dump_json()}"


def _file(part):
    """A file by name, size and time; other things by themselves."""
    if isinstance(part, (list, tuple)):
        return [_file(p) for p in part]
    try:
        found = os.stat(part)
    except (OSError, TypeError, ValueError):
        return part
    return os.path.realpath(part), found.st_size, found.st_mtime_ns


def _recall(key, num_classes) -> Optional[dict]:
    if key is None:
        return None
    try:
        with np.load(str(cache_folder() / f"stats-{key}.npz"), allow_pickle=False) as file:
            found = dict(file)
    except Exception:  # not there, or damaged: measured again
        return None
    complete = set(found) == {"mean", "std", "counts", "ignored"}
    return found if complete and found["counts"].shape[1:] == (num_classes,) else None


def _remember(key, found):
    """Keep the numbers; a folder that cannot be written only costs time."""
    if key is None:
        return
    content = io.BytesIO()
    np.savez_compressed(content, **found)
    with contextlib.suppress(MXNetSegError):
        files.write(cache_folder() / f"stats-{key}.npz", content.getvalue())


# --- rare classes ------------------------------------------------------------------------------


class RareClasses:
    """The order of an epoch that shows rare classes more often (DAFormer, Hoyer et al., 2022).

    For each place of the epoch a class is drawn with probability ~ exp((1 - f_c) / temperature),
    then an image that holds it, each alike often. An epoch has as many images as the data set;
    some come several times, others not at all.

    Args:
        counts: (images, classes) pixels, as :attr:`Stats.counts`.
        temperature: the smaller, the rarer the classes that are preferred; infinite: all alike.
        min_pixels: an image holds a class from so many of its pixels on (where any image does).
    """

    def __init__(self, counts, temperature=0.01, min_pixels=1):
        counts = np.asarray(counts)
        if temperature <= 0:
            raise UsageError(f"The temperature {temperature} of rare classes must be positive.")
        frequencies = counts.sum(axis=0) / max(int(counts.sum()), 1)
        self.images = []
        for column in counts.T:
            holding = np.flatnonzero(column >= min_pixels)
            self.images.append(holding if len(holding) else np.flatnonzero(column))
        seen = np.array([len(images) > 0 for images in self.images])
        if not seen.any():
            raise MXNetSegError("No image has a labelled pixel, so rare classes mean nothing.")
        power = (1 - frequencies) / temperature
        chances = np.where(seen, np.exp(power - power[seen].max()), 0)
        self.chances = chances / chances.sum()
        self.length = len(counts)

    def order(self, rng):
        """Sample numbers of an epoch: an image's k-th repetition is number image + k * length.

        That gives every repetition a random generator, and so an augmentation, of its own.
        """
        chosen = rng.choice(len(self.chances), self.length, p=self.chances)
        places = rng.random(self.length)
        times = np.zeros(self.length, np.int64)
        numbers = np.empty(self.length, np.int64)
        for place, (c, u) in enumerate(zip(chosen, places)):
            image = int(self.images[c][int(u * len(self.images[c]))])
            numbers[place] = image + times[image] * self.length
            times[image] += 1
        return numbers
