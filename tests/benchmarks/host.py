"""What happens beside the network: reading, transforming, scoring."""

import importlib.util
import random

import cv2
import mxnet as mx
import numpy as np

from mxnetseg import data
from mxnetseg.metrics import ConfusionMatrix
from mxnetseg.runtime import without_torch

from .timing import Row, best

HEIGHT, WIDTH, CLASSES = 1024, 2048, 19


def _cityscapes(folder):
    """A data set in Cityscapes' layout with one drawn image of its size."""
    street = data.create("synthetic", "train", size=(HEIGHT, WIDTH), scenes=1)[0]
    info = data.info("cityscapes")
    for kind in ("leftImg8bit", "gtFine"):
        (folder / kind / "train" / "x").mkdir(parents=True, exist_ok=True)
    stem = "x_000000_000000"
    image = folder / "leftImg8bit" / "train" / "x" / f"{stem}_leftImg8bit.png"
    mask = folder / "gtFine" / "train" / "x" / f"{stem}_gtFine_labelIds.png"
    cv2.imwrite(str(image), street.image[:, :, ::-1])
    cv2.imwrite(str(mask), cv2.LUT(street.mask, info.inverse))
    return image, mask


def training_sample(folder):
    """Decode, random scale, crop 768, flip; one core."""
    image, mask = _cityscapes(folder)
    dataset = data.create("cityscapes", "train", folder)
    transform = data.presets.create("mxnetseg", base_size=2048, crop_size=768)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    draws = iter(range(10**6))

    def ours():
        sample = dataset[0]
        return transform(sample.image, sample.mask, data.randomness.sample_rng(0, 0, next(draws)))

    decode = best(lambda: cv2.imread(str(image)), 5)
    usual = None
    if importlib.util.find_spec("gluoncv"):
        usual = _mean(_gluoncv_sample(image, mask), 12)
    row = Row("Cityscapes sample (decode, scale, crop 768, flip), one core", usual,
              _mean(ours, 12), "<= 0.37", f"(decode alone {1000 * decode:.0f} ms)")  # fmt: skip
    cv2.setNumThreads(threads)
    return row


def _mean(function, times):
    import time

    function()
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times


def _gluoncv_sample(image, mask):
    """GluonCV's way: PIL, the whole image scaled, labels mapped by unique and digitize."""
    with without_torch():
        from gluoncv.data.segbase import SegmentationDataset
    from mxnet.gluon.data.vision import transforms
    from PIL import Image

    to_tensor = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    )

    class Usual(SegmentationDataset):
        NUM_CLASS = CLASSES

        def _mask_transform(self, mask):
            return mx.nd.array(_gluoncv_ids(np.array(mask).astype("int32")), mx.cpu(0))

    usual = Usual.__new__(Usual)
    usual.base_size, usual.crop_size = 2048, 768

    def sample():
        random.seed(random.random())
        picture, label = usual._sync_transform(Image.open(image).convert("RGB"), Image.open(mask))
        to_tensor(picture).wait_to_read()
        return label

    return sample


_KEY = np.full(36, -1, "int32")
for _class, _raw in enumerate([7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]):
    _KEY[_raw + 1] = _class
_VALUES = np.arange(-1, 35)


def _gluoncv_ids(mask):
    for value in np.unique(mask):
        assert value in _VALUES
    index = np.digitize(mask.ravel(), _VALUES, right=True)
    return _KEY[index].reshape(mask.shape)


def label_ids(folder):
    """Raw label ids to classes."""
    info = data.info("cityscapes")
    raw = np.random.RandomState(0).choice(info.inverse[:CLASSES], (HEIGHT, WIDTH)).astype(np.uint8)
    wide = raw.astype("int32")
    return Row("label ids -> classes, 1024x2048", best(lambda: _gluoncv_ids(wide)),
               best(lambda: cv2.LUT(raw, info.lut)), "<= 0.02")  # fmt: skip


def confusion(folder):
    """Counts of a scored image."""
    rng = np.random.RandomState(0)
    mask = cv2.resize(rng.randint(0, CLASSES, (32, 64)).astype(np.uint8), (WIDTH, HEIGHT),
                      interpolation=cv2.INTER_NEAREST)  # fmt: skip
    prediction = np.where(rng.rand(HEIGHT, WIDTH) < 0.9, mask, 3).astype(np.uint8)
    matrix = ConfusionMatrix(CLASSES)

    def usual():
        """GluonCV's batch_intersection_union."""
        predict, target = prediction.astype("int64") + 1, mask.astype("int64") + 1
        predict = predict * (target > 0).astype(predict.dtype)
        intersection = predict * (predict == target)
        for values in (intersection, predict, target):
            np.histogram(values, bins=CLASSES, range=(1, CLASSES))

    return Row("confusion matrix, 19 classes, 1024x2048", best(usual),
               best(lambda: matrix.update(prediction, mask)), "<= 0.07")  # fmt: skip


ROWS = [training_sample, label_ids, confusion]
