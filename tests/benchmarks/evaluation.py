"""Whole evaluations of a Cityscapes image: from its files to the counts of its mIoU.

    python -m tests.benchmarks.evaluation <way> <how> <folder>    one measurement

A measurement is a process of its own.

All ways run FCN-ResNet18 at stride 32 with random weights, 78 billion multiply-adds for an
image of 1024x2048. MXNetSeg's way is GluonCV's ``MultiEvalModel``, a PyTorch toolkit's that of
semseg; both work in windows of 768 that move by two thirds. Ours does the same windows by
MXNetSeg's rules, or sees the image whole. Nothing counts that happens once: an evaluation at a
single scale goes before. Several scales take minutes, so they are measured once.

Where ours does what MXNetSeg's way does, both have to find the same pixels right.
"""

import functools
import importlib.util
import itertools
import json
import math
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np

from mxnetseg import data, models
from mxnetseg.inference import evaluator
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.protocol import Protocol
from mxnetseg.runtime import usable_cores, without_torch

from .host import _gluoncv_ids
from .pipeline import files
from .timing import Row, best

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
CROP, CLASSES = 768, 19
WIDTH = 2048
SAME = 1e-4  # of the pixels that are right: what rounding changes
REPEATS = {"windows": 3, "windows_multi": 1, "whole": 5, "whole_multi": 1}


def _network():
    mx.random.seed(0)
    net = models.create("fcn", CLASSES, backbone="resnet18", output_stride=32)
    weight = net.head.conv2.weight
    weight.set_data(weight.data() / 16)  # logits as of trained networks: exp of others overflows
    return net


class First:
    """The first ``count`` images of a data set."""

    def __init__(self, dataset, count):
        self._dataset, self._count = dataset, count
        self.info, self.has_masks = dataset.info, dataset.has_masks

    def __len__(self):
        return self._count

    def __getitem__(self, index):
        return self._dataset[index]


def _dataset(root):
    return data.create("cityscapes", "train", root)


def _protocol(how):
    multi = how.endswith("multi")
    if how.startswith("whole"):
        return Protocol.build({}, SCALES if multi else None, mode="whole")
    return Protocol.build({}, SCALES if multi else None, "cityscapes", preset="mxnetseg")


def _run(backend, root, how):
    dataset, protocol = First(_dataset(root), 1), _protocol(how)

    def work(protocol=protocol):
        return evaluator.evaluate(backend, dataset, protocol)["pixel_accuracy"]

    return work, lambda: work(replace(protocol, scales=(1.0,), flip=False))


def ours(root, how):
    return _run(MXNetBackend(_network(), [mx.cpu()], MEAN, STD), root, how)


def integers(root, how):
    """Quantised by ``deploy.quantize``, calibrated on two images; in ONNX Runtime."""
    from mxnetseg.deploy.forms import build
    from mxnetseg.deploy.quantize import Quantizer
    from mxnetseg.inference import onnxfile, runtimes

    dataset = _dataset(root)
    source = onnxfile.of_model(build(_network(), dataset.info))
    backend = runtimes.start("onnxruntime", source, ["cpu"])
    images = (backend.normalized(dataset[k].image[None]) for k in (0, 1))
    file = Quantizer(source, images).network().file
    return _run(runtimes.start("onnxruntime", file, ["cpu"]), root, how)


def mxnetseg(root, how):
    """GluonCV's evaluator and metric, on images as its data sets read them."""
    with without_torch():
        from gluoncv.model_zoo.segbase import MultiEvalModel
        from gluoncv.utils.metrics.segmentation import SegmentationMetric
    from mxnet.gluon.data.vision import transforms
    from PIL import Image

    from .network import Usual

    class Module(Usual):
        base_size, crop_size = WIDTH, CROP

        def evaluate(self, x):
            return self(x)[0]

    pair = _dataset(root).pairs[0]
    module = Module(_network(), (CROP, CROP))
    module.hybridize()
    to_tensor = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])

    def evaluate(scales, flip):
        model = MultiEvalModel(module, CLASSES, [mx.cpu()], flip, scales)
        metric = SegmentationMetric(CLASSES)
        image = to_tensor(mx.nd.array(Image.open(pair.image).convert("RGB"), dtype="uint8"))
        mask = _gluoncv_ids(np.array(Image.open(pair.mask)).astype("int32"))
        scores = model.parallel_forward([image])
        metric.update(mx.nd.array(mask[None]), scores[0])
        return metric.get()[0]

    return _multi(evaluate, how)


def _multi(evaluate, how):
    def single():
        return evaluate((1.0,), False)

    return (lambda: evaluate(SCALES, True)) if how.endswith("multi") else single, single


def pytorch(root, how):
    """semseg's: soft-max per window, sums in NumPy, resized with channels last."""
    import torch
    from torch.nn import functional as F

    from .torch_networks import FCN

    torch.set_num_threads(usable_cores())
    torch.manual_seed(0)
    net = FCN(CLASSES, (2, 2, 2, 2), bottleneck=False, dilate=False).eval()
    mean, std = (torch.tensor(v).reshape(3, 1, 1) * 255 for v in (MEAN, STD))
    pair = _dataset(root).pairs[0]

    def window(pixels, flip):
        x = (torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))) - mean) / std
        x = torch.stack([x, x.flip(2)]) if flip else x[None]
        with torch.no_grad():
            scores = F.softmax(net(x)[0], dim=1)
        scores = (scores[0] + scores[1].flip(2)) / 2 if flip else scores[0]
        return scores.numpy().transpose(1, 2, 0)

    def at_scale(image, size, flip):
        missing = [max(0, CROP - n) for n in image.shape[:2]]
        (top, left), (bottom, right) = zip(*((n // 2, n - n // 2) for n in missing))
        image = cv2.copyMakeBorder(
            image, top, bottom, left, right, cv2.BORDER_CONSTANT, value=[255 * m for m in MEAN]
        )
        height, width = image.shape[:2]
        scores, count = np.zeros((height, width, CLASSES)), np.zeros((height, width, 1))
        for rows, columns in itertools.product(_windows(height, CROP), _windows(width, CROP)):
            scores[rows, columns] += window(image[rows, columns], flip)
            count[rows, columns] += 1
        scores /= count
        return cv2.resize(scores[top : height - bottom, left : width - right], size)

    def evaluate(scales, flip):
        image = cv2.cvtColor(cv2.imread(str(pair.image)), cv2.COLOR_BGR2RGB).astype(np.float32)
        height, width = image.shape[:2]
        total = np.zeros((height, width, CLASSES))
        for scale in scales:
            size = round(width * scale), round(height * scale)
            total += at_scale(cv2.resize(image, size), (width, height), flip)
        classes = np.argmax(total / len(scales), axis=2)
        mask = _gluoncv_ids(cv2.imread(str(pair.mask), cv2.IMREAD_UNCHANGED).astype("int32"))
        same = classes[classes == mask]
        for values in (same, classes[mask >= 0], mask[mask >= 0]):
            np.histogram(values, bins=np.arange(CLASSES + 1))
        return len(same) / (mask >= 0).sum()

    return _multi(evaluate, how)


def _windows(length, crop):
    step = math.ceil(crop * 2 / 3)
    count = math.ceil((length - crop) / step) + 1
    stops = [min(k * step + crop, length) for k in range(count)]
    return [slice(stop - crop, stop) for stop in stops]


WAYS = {f.__name__: f for f in (ours, integers, mxnetseg, pytorch)}


def measure(way, how, root):
    """A way's numbers, as JSON.

    Returns:
        {"seconds" of the best pass, "cpu": seconds of a mean one, "peak": MB of the process,
        "accuracy" of its pixels}
    """
    work, first = WAYS[way](root, how)
    first()
    accuracy, before = [], time.process_time()
    seconds = best(lambda: accuracy.append(work()), REPEATS[how], warmup=0)
    cpu = (time.process_time() - before) / REPEATS[how]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "cpu": cpu, "peak": peak, "accuracy": float(accuracy[0])}


@functools.lru_cache(maxsize=None)
def _elsewhere(way, how, root):
    """:func:`measure` in a process of its own, once."""
    environment = dict(os.environ)
    if way == "mxnetseg":  # the threads that MXNet takes by itself
        environment["OMP_NUM_THREADS"] = str(max(1, usable_cores() // 2))
    done = subprocess.run(
        [sys.executable, "-m", __spec__.name, way, how, str(root)],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _row(what, how, aim, way="ours", theirs=None, torch=True):
    def row(folder):
        root, drawn = files("cityscapes", folder)
        found = _elsewhere(way, how, root)
        notes = [drawn.rstrip("; ")] if drawn else []
        notes += [f"peak {found['peak']:.0f} MB"]
        usual = None
        if importlib.util.find_spec("gluoncv"):
            usual = _elsewhere("mxnetseg", theirs or how, root)
            notes += [f"usual {usual['peak']:.0f}"]
            if theirs is None and abs(usual["accuracy"] - found["accuracy"]) > SAME:
                raise ValueError(f"{what}: other pixels are right: {usual} and {found}")
        if torch and importlib.util.find_spec("torch"):
            other = _elsewhere("pytorch", theirs or how, root)
            ratio = found["seconds"] / other["seconds"]
            notes += [f"PyTorch {1000 * other['seconds']:.0f} ms, ratio {ratio:.2f}"]
        seconds = usual["seconds"] if usual else None
        return Row(what, seconds, found["seconds"], aim, f"({'; '.join(notes)})")

    row.__name__ = f"evaluation_{how}" + ("_int8" if way == "integers" else "")
    return row


ROWS = [
    _row("evaluation, windows of 768", "windows", "<= 0.25"),
    _row("evaluation, whole image", "whole", "<= 0.25", theirs="windows"),
    _row("evaluation, whole image, int8", "whole", "<= 0.1", "integers", "windows"),
    _row("evaluation, windows, 7 scales, mirrored", "windows_multi", "<= 0.25"),
    _row("evaluation, whole, 7 scales, mirrored", "whole_multi", "<= 0.25",
         theirs="windows_multi"),
]  # fmt: skip


if __name__ == "__main__":
    way, how, root = sys.argv[1:]
    print(json.dumps(measure(way, how, Path(root))))
