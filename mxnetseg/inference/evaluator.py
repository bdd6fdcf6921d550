"""Scores and predictions of a network on a data set.

One evaluator for the validation while training and for final numbers. It streams: per device there
is one image at work and one that is read ahead; what is written is written at once.
"""

import contextlib
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from .. import files, progress
from ..errors import MXNetSegError, UsageError
from ..metrics import Accuracy
from . import results, writers
from .merge import classify


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
        predictions: write color/<name>.png and labels/<name>.png; with metrics errors/<name>.png
            too.
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
    start, tally = time.time(), results.Tally(metrics)
    table = None if order is None else lookup(order)
    with contextlib.ExitStack() as stack:
        writing = []
        if predictions:
            kinds = ("color", "labels", "errors") if metrics else ("color", "labels")
            writing.append(writers.Folders(out, info, kinds))
        if submission:
            archive = stack.enter_context(files.Archive(out / "submission.zip"))
            writing.append(writers.Submission(archive, info))

        def work(sample, context):
            size = sample.mask.shape if metrics and sample.mask is not None else None
            windows = [] if tally.needs_logits else None
            classes, scores = classify(
                backend, sample.image, protocol, size, context, tally.needs_scores, windows
            )
            return classes if table is None else cv2.LUT(classes, table), scores, windows

        bar = stack.enter_context(progress.bar(total=len(dataset), unit="image"))
        maps = in_turn(dataset.__getitem__, work, range(len(dataset)), backend.devices)
        for sample, (classes, scores, windows) in stack.enter_context(contextlib.closing(maps)):
            if metrics:
                tally.add(sample, classes, scores, windows)
            for write in writing:
                write(sample.name, classes, sample.mask if metrics else None)
            bar.update()
    described = {
        "protocol": protocol.as_dict(),
        "protocol_rules": protocol.rules(),
        "dataset": info.name,
        "split": getattr(dataset, "split", None),
        "checkpoint": None,
        "images": len(dataset),
        "seconds": round(time.time() - start, 3),
        **(described or {}),
    }
    if not metrics:
        return described
    result = tally.result(**described)
    if out is not None:
        results.write(out, result, tally.rows)
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


def lookup(order):
    """The table of ``cv2.LUT`` that gives classes the numbers of ``order``; 255 stays."""
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
