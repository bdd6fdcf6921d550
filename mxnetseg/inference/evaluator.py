"""Scores and predictions of a network on a data set.

One evaluator for the validation while training and for final numbers. It streams: per device there
is one image at work and one that is read ahead; what is written is written at once.
"""

import contextlib
import csv
import io
import json
import math
import re
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from .. import files, progress
from ..errors import MXNetSegError, UsageError
from ..metrics import Accuracy
from . import presets
from .merge import classify
from .protocol import Protocol

_NUMBERS = re.compile(r"(?<=\[)\n[-+.\deE,\s]+(?=\])")  # strings of JSON hold no line breaks


def evaluate(backend, dataset, protocol, out=None, described=None):
    """mIoU and accuracies of a network on a data set: :func:`run` with the usual metric."""
    metrics = [Accuracy(dataset.info)]
    return run(backend, dataset, protocol, metrics, out, described=described)


def run(
    backend, dataset, protocol, metrics=(), out=None, predictions=False, submission=False,
    order=None, described=None,
):  # fmt: skip
    """Send every image of a data set through the network; score or write what comes out.

    Args:
        backend: see :mod:`~mxnetseg.inference.backend`; images go to its devices in turn.
        dataset: yields Sample(image, mask, name); has ``info``.
        protocol: Protocol.
        metrics: what is counted, see :func:`mxnetseg.metrics.create`; without any, masks are not
            needed. With any, results.json and per_image.csv are written at the end.
        out: folder for what is written; needed for all but the scores.
        predictions: write color/<name>.png and labels/<name>.png.
        submission: write submission.zip: label values of the data set's files, for its server.
        order: for each of the network's classes the data set's class, where they differ.
        described: further entries of the result: checkpoint, split ...

    Returns:
        The result as JSON: images, seconds, protocol, dataset and what the metrics found.

    Raises:
        UsageError: network, data set and protocol do not go together.
        MXNetSegError: no masks, bad files, a folder that cannot be written.
    """
    info = dataset.info
    _check(backend, dataset, bool(metrics))
    if out is None and (predictions or submission):
        raise UsageError("Predictions need a folder: out.")
    if out is not None:
        out = Path(out)
        files.check_folder(out)
    start, rows = time.time(), []
    table = None if order is None else _lookup(order)
    with contextlib.ExitStack() as stack:
        writers = []
        if predictions:
            writers.append(_Pictures(out, info))
        if submission:
            archive = stack.enter_context(files.Archive(out / "submission.zip"))
            writers.append(_Submission(archive, info))

        scored = any(metric.needs_scores for metric in metrics)

        def work(sample, context):
            size = sample.mask.shape if metrics and sample.mask is not None else None
            classes, scores = classify(
                backend, sample.image, protocol, size, context, confidence=scored
            )
            return classes if table is None else cv2.LUT(classes, table), scores

        bar = stack.enter_context(progress.bar(total=len(dataset), unit="image"))
        results = in_turn(dataset.__getitem__, work, range(len(dataset)), backend.devices)
        for sample, (classes, scores) in stack.enter_context(contextlib.closing(results)):
            if metrics:
                rows.append(_row(metrics, sample, classes, scores))
            for write in writers:
                write(sample.name, classes)
            bar.update()
    result = {
        "protocol": protocol.as_dict(),
        "protocol_rules": protocol.rules(),
        "dataset": info.name,
        "split": getattr(dataset, "split", None),
        "checkpoint": None,
        "images": len(dataset),
        "seconds": round(time.time() - start, 3),
        **(described or {}),
    }
    if metrics:
        found = _results(metrics)
        if protocol.preset:
            mean, rule = presets.published_miou(protocol.preset, found)
            found.update(miou_published_rule=mean, published_rule=rule)
        result = {**found, **result, "counts": {m.name: m.counts() for m in metrics}}
        if out is not None:
            files.write(out / "per_image.csv", _csv(rows))
            files.write(out / "results.json", _json(result))
    return result


def _check(backend, dataset, score):
    info = dataset.info
    if backend.num_classes != info.num_classes:
        raise UsageError(
            f"The network knows {backend.num_classes} classes, but {info.name} has "
            f"{info.num_classes}. Choose the data set that it was trained on."
        )
    if len(dataset) == 0:
        raise MXNetSegError(f"{info.name} has no images in this split.")
    if score and not getattr(dataset, "has_masks", True):
        raise MXNetSegError(
            f"The split '{dataset.split}' of {info.name} has no masks, so it cannot be scored. Use "
            "--mode test to write predictions, or score another split."
        )


def _lookup(order):
    table = np.arange(256, dtype=np.uint8)
    table[: len(order)] = order
    return table


def in_turn(read, work, items, devices):
    """Yield ``(thing, work(thing, device))`` with ``thing = read(item)``, in order of ``items``.

    Every device has its own thread and takes the items in turn; another thread reads ahead. So the
    host reads, scores and writes while the devices compute.
    """
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(ThreadPoolExecutor(1))
        workers = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(devices)]
        pending = deque()

        def job(reading, device):
            thing = reading.result()
            return thing, work(thing, device)

        try:
            for number, item in enumerate(items):
                device = number % devices
                pending.append(workers[device].submit(job, reader.submit(read, item), device))
                if len(pending) > 2 * devices:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _row(metrics, sample, classes, scores):
    """Count an image; its row of per_image.csv."""
    if sample.mask is None:
        raise MXNetSegError(f"{sample.name} has no mask, so it cannot be scored.")
    height, width = sample.mask.shape
    row = {"image": sample.name, "width": width, "height": height}
    for metric in metrics:
        more = (scores,) if metric.needs_scores else ()
        row.update(metric.update(classes, sample.mask, sample, *more))
    return row


def _results(metrics):
    """What all metrics found; their facts about a class stand together."""
    found, classes = {}, {}
    for metric in metrics:
        result = metric.result()
        for entry in result.pop("classes", ()):
            classes.setdefault(entry["name"], {}).update(entry)
        found.update(result)
    return {**found, "classes": list(classes.values())}


def _json(result):
    """Indented, with lists of numbers in one line: a confusion matrix has thousands."""
    text = json.dumps(result, indent=1)
    return _NUMBERS.sub(lambda found: " ".join(found.group().split()), text) + "\n"


def _csv(rows):
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return buffer.getvalue()


def _cell(value):
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6f}"


_MORE = {
    "boundary_miou": "boundary mIoU",
    "boundary_f": "boundary F",
    "expected_calibration_error": "expected calibration error",
    "category_miou": "mIoU of categories",
    "iiou": "iIoU of classes",
    "category_iiou": "iIoU of categories",
}


def table(result):
    """The scores of a result as text."""

    def percent(value):
        return "    -" if value is None else f"{100 * value:5.1f}"

    width = max(5, *(len(c["name"]) for c in result["classes"]))
    lines = [f"{'class':{width}s}    IoU  accuracy"]
    lines += [
        f"{c['name']:{width}s}  {percent(c['iou'])}     {percent(c['accuracy'])}"
        for c in result["classes"]
    ]
    lines.append(
        f"mIoU {result['miou']:.4f} over {result['miou_over']}, pixel accuracy "
        f"{result['pixel_accuracy']:.4f}, mean accuracy {result['mean_accuracy']:.4f}"
    )
    lines += [f"{text} {result[key]:.4f}" for key, text in _MORE.items() if result.get(key)]
    if "miou_interval" in result:
        low, high = result["miou_interval"]
        lines.append(f"mIoU is {low:.4f} ... {high:.4f} ({result['miou_interval_is']})")
    lines.append(
        f"{result['images']} images in {result['seconds']:.0f} s, {Protocol(**result['protocol'])}"
    )
    return "\n".join(lines)


# --- what is written per image ------------------------------------------------------------------


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


class _Pictures:
    """Writes color/ and labels/."""

    def __init__(self, out, info):
        self.out, self.info, self.taken = out, info, set()

    def __call__(self, name, classes):
        name = output_name(name, self.taken)
        void = getattr(self.info, "void_color", (0, 0, 0))
        picture = files.palette_png(classes, self.info.palette, void)
        files.write(self.out / "color" / name, picture)
        files.write(self.out / "labels" / name, files.png(classes))


class _Submission:
    """Writes submission.zip: label values as the data set's own files have them, flat names."""

    def __init__(self, archive, info):
        self.archive, self.inverse = archive, info.inverse

    def __call__(self, name, classes):
        labels = files.png(cv2.LUT(classes, self.inverse))
        self.archive.add(PurePosixPath(name).with_suffix(".png").name, labels)
