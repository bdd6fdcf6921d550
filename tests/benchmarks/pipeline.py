"""The whole training pipeline: files to what a training step takes, ours against GluonCV's.

    python -m tests.benchmarks.pipeline <whose> <data set> <root> <workers>    one measurement

A measurement is a process of its own, tied to as many cores as it has workers. Both ways deliver
normalised float32 images (N, 3, H, W) and masks to the consumer: GluonCV's workers normalise each
sample, ours give 8 bits and the consumer normalises the batch, which is part of the measured time.
Both get the same files, crop, base size, scales, batch and number of workers; GluonCV's
loader runs in the consumer's process on one core, where a worker process would only cost.
"""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np

from mxnetseg import data
from mxnetseg.nn import Normalize
from mxnetseg.runtime import without_torch

from .timing import Row

SHARED = Path(__file__).parents[3] / "shared" / "data"
SAMPLES = {"cityscapes": 24, "camvid": 240}  # of an epoch; small sets are repeated
BATCH = {"cityscapes": 4, "camvid": 8}
BASE = {"cityscapes": 2048, "camvid": 480}
CROP = {"cityscapes": 768, "camvid": 320}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ROUNDS = 3


class Repeated:
    """A data set of ``length`` samples that are those of another, over and over."""

    def __init__(self, dataset, length):
        self.dataset, self.length = dataset, length
        self.names = [dataset.names[i % len(dataset)] for i in range(length)]

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.dataset[index % len(self.dataset)]


def ours(name, root, workers, memory=0):
    """A function that runs an epoch: its batches as the trainer takes them."""
    dataset = data.create(name, "train", root)
    if memory:
        dataset = data.Cached(dataset, memory)
    transform = data.presets.create("mxnetseg", base_size=BASE[name], crop_size=CROP[name])
    normalize = Normalize(MEAN, STD)
    normalize.initialize()
    loader = data.Loader(
        Repeated(dataset, SAMPLES[name]), BATCH[name], transform, shuffle=True, workers=workers
    )

    def epoch():
        for batch in loader:
            images = normalize.load(batch.images, mx.cpu())
            masks = mx.nd.array(batch.masks, dtype=batch.masks.dtype)
            images.wait_to_read()
            masks.wait_to_read()

    return epoch


def cached(name, root, workers):
    """The same with decoded images kept in memory, after the first epoch."""
    return ours(name, root, workers, memory=1 << 31)


def usual(name, root, workers):
    """GluonCV: PIL transforms of its base class, Gluon's loader."""
    with without_torch():
        from gluoncv.data.segbase import SegmentationDataset
    from mxnet.gluon.data import DataLoader
    from mxnet.gluon.data.vision import transforms
    from PIL import Image

    from .host import _gluoncv_ids

    pairs = data.create(name, "train", root).pairs

    class Usual(SegmentationDataset):
        def __len__(self):
            return SAMPLES[name]

        def __getitem__(self, index):
            pair = pairs[index % len(pairs)]
            image, mask = Image.open(pair.image).convert("RGB"), Image.open(pair.mask)
            image, mask = self._sync_transform(image, mask)
            return self.transform(image), mask

        def _mask_transform(self, mask):
            mask = np.array(mask).astype("int32")
            if name == "cityscapes":
                mask = _gluoncv_ids(mask)
            else:  # MXNetSeg's CamVid
                mask[mask == 11] = -1
            return mx.nd.array(mask, mx.cpu(0)).astype("int32")

    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    dataset = Usual(str(root), "train", "train", to_tensor, BASE[name], CROP[name])
    loader = DataLoader(
        dataset, BATCH[name], shuffle=True, last_batch="rollover",
        num_workers=0 if workers == 1 else workers,
    )  # fmt: skip

    def epoch():
        for images, masks in loader:
            images.wait_to_read()
            masks.wait_to_read()

    return epoch


def measure(whose, name, root, workers):
    """Seconds per sample of the best of three epochs, after one that does not count."""
    random.seed(0)
    epoch = {"ours": ours, "cached": cached, "usual": usual}[whose](name, root, workers)
    epoch()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        epoch()
        times.append((time.perf_counter() - start) / SAMPLES[name])
    return min(times)


def _elsewhere(whose, name, root, workers):
    """:func:`measure` in a process that has ``workers`` cores."""
    cores = sorted(os.sched_getaffinity(0))[:workers]
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, whose, name, str(root), str(workers)],
        preexec_fn=lambda: os.sched_setaffinity(0, cores), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def files(name, folder):
    """The root of the data set: the real one, or drawn files of the same size."""
    real = SHARED / {"cityscapes": "CityscapesMini", "camvid": "CamVid"}[name]
    if real.is_dir():
        return real, ""
    root = folder / f"pipeline-{name}"
    if root.is_dir():
        shutil.rmtree(root)
    size = {"cityscapes": (1024, 2048), "camvid": (360, 480)}[name]
    for index, street in enumerate(data.create("synthetic", "train", size=size, scenes=3)):
        if name == "cityscapes":
            stem = f"x/x_{index:06d}_000000"
            image = root / f"leftImg8bit/train/{stem}_leftImg8bit.png"
            mask = root / f"gtFine/train/{stem}_gtFine_labelIds.png"
        else:
            image, mask = root / f"train/{index}.png", root / f"trainannot/{index}.png"
        for path, pixels in (
            (image, street.image[:, :, ::-1]),
            (mask, cv2.LUT(street.mask, data.info(name).inverse)),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
    return root, "drawn images; "


def _rows(name, workers, aim):
    def row(folder, whose="ours"):
        if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < workers:
            return f"{name} pipeline on {workers} cores: not measurable here"
        root, drawn = files(name, folder)
        theirs = None
        if importlib.util.find_spec("gluoncv"):
            theirs = _elsewhere("usual", name, root, workers)
        seconds = _elsewhere(whose, name, root, workers)
        cores = "1 core" if workers == 1 else f"{workers} cores"
        kept = ", kept in memory" if whose == "cached" else ""
        return Row(
            f"{name} training pipeline{kept}, crop {CROP[name]}, {cores}", theirs, seconds,
            "" if kept else aim,
            f"({drawn}per sample, normalised; ours {1 / seconds:.0f} samples/s)",
        )  # fmt: skip

    def kept(folder):
        return row(folder, "cached")

    row.__name__ = f"{name}_pipeline_{workers}"
    kept.__name__ = f"{name}_kept_{workers}"
    return [row, kept]


ROWS = [
    function
    for name, aim in (("cityscapes", "<= 0.40"), ("camvid", "<= 0.56"))
    for workers in (1, 2)
    for function in _rows(name, workers, aim)
]


if __name__ == "__main__":
    whose, name, root, workers = sys.argv[1:]
    print(json.dumps(measure(whose, name, Path(root), int(workers))))
