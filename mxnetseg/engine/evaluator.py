"""Scores and predictions of a network on a data set.

One evaluator for the validation while training and for final numbers. It streams: per device there
is one image at work and one that is read ahead; what is written is written at once.
"""

import contextlib
import csv
import io
import json
import math
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import cv2
from tqdm import tqdm

from ..errors import MXNetSegError, UsageError
from ..metrics import ConfusionMatrix
from . import files
from .inference import Inference
from .protocol import Protocol, segment

__all__ = ["Protocol", "evaluate", "output_name", "run", "table"]


def evaluate(net, dataset, protocol, contexts, out=None):
    """The scores of ``net`` on ``dataset``: :func:`run` without predictions."""
    return run(net, dataset, protocol, contexts, out)


def run(
    net, dataset, protocol, contexts, out=None, score=True, predictions=False, submission=False,
    normalization=None, described=None, fuse=True,
):  # fmt: skip
    """Send every image of a data set through the network; score or write what comes out.

    Args:
        net: a SegmentationModel with parameters on ``contexts``. It is left as it is.
        dataset: yields Sample(image, mask, name); has ``info``.
        protocol: Protocol.
        contexts: devices; images go to them in turn.
        out: folder for what is written; needed for all but the scores.
        score: compare with the masks. Writes results.json and per_image.csv at the end.
        predictions: write color/<name>.png and labels/<name>.png.
        submission: write submission.zip: label values of the data set's files, for its server.
        normalization: (mean, std) that the network was trained with; by default the data set's.
        described: further entries of the result: checkpoint, split ...
        fuse: see Inference.

    Returns:
        The result as JSON: images, seconds, protocol, dataset and, if ``score``, miou,
        pixel_accuracy, mean_accuracy, classes.

    Raises:
        UsageError: network, data set and protocol do not go together.
        MXNetSegError: no masks, bad files, a folder that cannot be written.
    """
    info = dataset.info
    _check(net, dataset, score)
    if out is None and (predictions or submission):
        raise UsageError("Predictions need a folder: out.")
    if out is not None:
        out = Path(out)
        files.check_folder(out)
    start = time.time()
    mean, std = normalization or (info.mean, info.std)
    inference = Inference(net, contexts, mean, std, fuse)
    matrix, rows = ConfusionMatrix(info.num_classes), []
    with contextlib.ExitStack() as stack:
        writers = []
        if predictions:
            writers.append(_Pictures(out, info))
        if submission:
            writers.append(
                _Submission(stack.enter_context(files.Archive(out / "submission.zip")), info)
            )

        def work(sample, context):
            size = sample.mask.shape if score and sample.mask is not None else None
            return segment(inference, sample.image, protocol, size, context)

        bar = tqdm(total=len(dataset), unit="image", leave=False, disable=not sys.stderr.isatty())
        stack.callback(bar.close)
        results = in_turn(dataset.__getitem__, work, range(len(dataset)), len(contexts))
        for sample, classes in stack.enter_context(contextlib.closing(results)):
            if score:
                rows.append(_score(matrix, sample, classes))
                bar.set_postfix(mIoU=f"{matrix.miou:.3f}")
            for write in writers:
                write(sample.name, classes)
            bar.update()
    result = {
        "protocol": protocol.as_dict(),
        "dataset": info.name,
        "split": getattr(dataset, "split", None),
        "checkpoint": None,
        "images": len(dataset),
        "seconds": round(time.time() - start, 3),
        **(described or {}),
    }
    if score:
        result = {**_scores(matrix, info), **result}
        if out is not None:
            files.write(out / "per_image.csv", _csv(rows))
            files.write(out / "results.json", json.dumps(result, indent=1) + "\n")
    return result


def _check(net, dataset, score):
    info = dataset.info
    if net.num_classes != info.num_classes:
        raise UsageError(
            f"The network knows {net.num_classes} classes, but {info.name} has {info.num_classes}. "
            "Choose the data set that it was trained on."
        )
    if len(dataset) == 0:
        raise MXNetSegError(f"{info.name} has no images in this split.")
    if score and not getattr(dataset, "has_masks", True):
        raise MXNetSegError(
            f"The split '{dataset.split}' of {info.name} has no masks, so it cannot be scored. Use "
            "--mode test to write predictions, or score another split."
        )


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


def _score(matrix, sample, classes):
    """Count an image; its row of per_image.csv."""
    if sample.mask is None:
        raise MXNetSegError(f"{sample.name} has no mask, so it cannot be scored.")
    image = ConfusionMatrix(matrix.num_classes)
    try:
        image.update(classes, sample.mask)
    except MXNetSegError as error:
        raise MXNetSegError(f"{sample.name}: {error}") from None
    matrix.merge(image)
    height, width = sample.mask.shape
    return sample.name, width, height, image.pixels, image.pixel_accuracy, image.miou


def _scores(matrix, info):
    if not matrix.pixels:
        raise MXNetSegError(f"The masks of {info.name} hold ignored pixels only: nothing to score.")
    return {
        "miou": matrix.miou,
        "miou_over": "classes present in prediction or truth",
        "miou_all_classes": matrix.miou_all,
        "pixel_accuracy": matrix.pixel_accuracy,
        "mean_accuracy": matrix.mean_accuracy,
        "frequency_weighted_iou": matrix.frequency_weighted_iou,
        "classes": [
            {"name": name, "iou": _json(iou), "accuracy": _json(accuracy)}
            for name, iou, accuracy in zip(info.classes, matrix.iou, matrix.class_accuracy)
        ],
    }


def _json(value):
    return None if math.isnan(value) else float(value)


def _csv(rows):
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["image", "width", "height", "labelled_pixels", "pixel_accuracy", "miou"])
    for *facts, accuracy, miou in rows:
        scores = ["" if math.isnan(v) else f"{v:.6f}" for v in (accuracy, miou)]
        writer.writerow([*facts, *scores])
    return buffer.getvalue()


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
