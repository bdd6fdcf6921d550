"""Look at every file of a data set before training does.

:func:`check` goes on after whatever it finds; the report lists each file with what is
wrong and what to do.
"""

import collections
import concurrent.futures
import dataclasses
import os
from pathlib import Path
from typing import Optional

import numpy as np

from ..description import IGNORE
from ..errors import MXNetSegError
from ..runtime import usable_cores
from . import datasets, images, layout, masks, sources, strays
from .content import DataError, read_bytes, read_intact, sniff, truncated
from .findings import Finding, Report, SplitReport
from .opencv import histogram, one_thread
from .schema import UNKNOWN


def check(name, split=None, root=None, workers=None, progress=None, **options):
    """Check all files of a data set.

    Args:
        name, root: as for :func:`~mxnetseg.data.create`.
        split: only this one. Default: all that are there.
        workers: threads. Default: the usable cores.
        progress: called with an iterable of futures and ``total=``, returns it wrapped
            (``tqdm.tqdm``).
        **options: of :func:`~mxnetseg.data.create`.

    Returns:
        Report

    Raises:
        UsageError: unknown name or split, a wrong YAML.
        MXNetSegError: the folder is missing, or it holds no split at all.
    """
    info = sources.info(name)
    workers = workers or usable_cores()
    if info.spec.generator:
        return _check_drawn(name, info, split, options)
    source, info = datasets.open_info(name, options)
    root = datasets.resolve_root(source, info, root)
    datasets.check_root(info, root)
    info = datasets.with_config(info, Path(root))
    if split is not None:
        layout.check_split(info, split, root)
    known = [split] if split else layout.known_splits(info, root)
    listings = {}
    for part in known:
        spec_of = info.splits.get(part)
        if spec_of is not None and spec_of.concat and split is None:
            continue  # its parts are checked themselves
        listings[part] = layout.list_split(info, part, root)
    there = {part: listing for part, listing in listings.items() if listing.layout is not None}
    if not there:
        what = f"the split '{split}'" if split else "no split"
        remedy = info.spec.prepare or "give the right folder."
        tree = layout.expected_tree(info, root, [split] if split else None)
        raise MXNetSegError(
            f"{root} holds {'not ' if split else ''}{what} of {info.title}; {remedy}\n{tree}"
        )
    report = Report(
        info.title,
        str(root),
        list(info.classes),
        [],
        [part for part in listings if part not in there],
        [],
    )
    if split is None:
        for part, problem in strays.unlisted_masks(info, there):
            report.findings.append(_finding(problem, part, "warning"))
    with one_thread(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        jobs = {}
        for part, listing in there.items():
            summary = _summary(part, listing, info, report.findings)
            report.splits.append(summary)
            for pair in listing.pairs:
                jobs[pool.submit(_check_pair, pair, info)] = summary
        done, resized = concurrent.futures.as_completed(jobs), collections.Counter()
        for future in progress(done, total=len(jobs)) if progress else done:
            found = future.result()
            _add(jobs[future], found, report.findings)
            resized[jobs[future].split] += found.resized
    for part in report.splits:
        if resized[part.split]:
            report.findings.append(_resized(part, resized[part.split]))
        if part.split == "train" and part.masks and source.home is not None:
            report.findings += _absent_classes(part, info)  # parts of known sets may lack some
        part.sizes = dict(sorted(part.sizes.items(), key=lambda s: (-s[1], s[0])))
    report.findings.sort(key=lambda f: (f.severity, f.split, f.kind, f.file))
    return report


def _check_drawn(name, info, split, options):
    """Drawn pictures have no files to be wrong; they have numbers all the same."""
    report = Report(info.title, "drawn", list(info.classes), [], [], [])
    for part in [split] if split else info.splits:
        dataset = datasets.create(name, part, **options)
        summary = SplitReport(part, len(dataset), len(dataset), count="complete")
        summary.pixels, summary.occurs = [0] * info.num_classes, [0] * info.num_classes
        report.splits.append(summary)
        for index in range(len(dataset)):
            sample = dataset[index]
            _add(summary, _Found([], _size(sample.image), histogram(sample.mask)), report.findings)
    return report


def _summary(split, listing, info, findings):
    """The report of a split as far as the listing tells, and its findings."""
    missing = sum(problem.kind == "no mask" for problem in listing.problems)
    summary = SplitReport(
        split, len(listing.pairs) + missing, sum(pair.mask is not None for pair in listing.pairs)
    )
    summary.pixels, summary.occurs = [0] * info.num_classes, [0] * info.num_classes
    for problem in listing.problems:
        findings.append(_finding(problem, split))
    for path in listing.surplus:
        remedy = "add the image or remove the mask"
        findings.append(
            Finding("warning", "surplus mask", split, path, "belongs to no image", remedy)
        )
    twins = strays.same_names(listing)
    if twins is not None:
        findings.append(_finding(twins, split, "warning"))
    if not summary.images:
        findings.append(
            Finding(
                "error",
                "empty split",
                split,
                "",
                f"The split '{split}' has no images",
                "add images, or remove its folder",
            )
        )
    spec_of = info.splits.get(split)
    usual = spec_of.count if spec_of else None
    summary.expected = listing.layout.counts.get(split, usual)
    if summary.expected == summary.images + listing.excluded:
        summary.expected = summary.images
    summary.count = _count(summary.images, summary.expected)
    if summary.expected is not None and summary.images > summary.expected:
        findings.append(
            Finding(
                "warning",
                "count",
                split,
                "",
                f"The split '{split}' has {summary.images} images, {summary.expected} expected",
                "look for images that do not belong to it",
            )
        )
    return summary


def _count(images, expected):
    if expected is None:
        return "-"
    if images < expected:
        return f"partial: {images} of {expected}"
    return "complete" if images == expected else f"more: {images} of {expected}"


def _finding(problem, split, severity="error"):
    return Finding(severity, problem.kind, split, problem.file, problem.problem, problem.remedy)


@dataclasses.dataclass
class _Found:
    """What a pair of files told: problems with their severity, size, class histogram."""

    problems: list
    size: Optional[str] = None
    histogram: Optional[np.ndarray] = None
    resized: bool = False  # the mask


def _size(image):
    return f"{image.shape[1]}x{image.shape[0]}"


_NAMED = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "bmp": (".bmp",),
    "tiff": (".tif", ".tiff"),
    "webp": (".webp",),
}


def _ending(path, content):
    """A warning if a file is in another format than its name says."""
    kind = sniff(content)
    ending = os.path.splitext(path)[1].lower()
    if kind is None or ending in _NAMED[kind]:
        return []
    problem = DataError(
        path,
        "ending",
        f"is a {kind.upper()} file by its content",
        f"rename it to {_NAMED[kind][0]}",
    )
    return [("warning", problem)]


def _lossy(path, content, form):
    """A warning about JPEG masks: even where all their values are known, some are wrong."""
    if form.encoding == "threshold" or sniff(content) != "jpeg":
        return []
    remedy = "save masks as PNG"
    return [("warning", DataError(path, "lossy mask", "is a JPEG, which blurs labels", remedy))]


def _resized(part, number):
    """A finding about masks of another size than their images, which this data set has."""
    text = f"{number} of {part.masks} masks of the split '{part.split}' have another size than"
    remedy = "they are resized, and scores are those of the resized masks"
    return Finding("warning", "resized mask", part.split, "", f"{text} their image", remedy)


def _absent_classes(part, info):
    """A finding for each class that no mask of a split has."""
    for name, pixels in zip(info.classes, part.pixels):
        if not pixels:
            remedy = "add masks that have it, or remove it from the classes"
            if info.num_classes == 2 and info.labels[""].encoding == "index":
                remedy = "if masks hold 0 and 255, set 'encoding: threshold' in the data set's YAML"
            text = f"No mask of the split '{part.split}' has the class '{name}'"
            yield Finding("warning", "absent class", part.split, "", text, remedy)


def _check_pair(pair, info):
    """Read an image and its mask; never raises DataError."""
    found = _Found([])
    image = mask = None
    facts = info.spec
    try:
        content = read_intact(pair.image, facts.truncated_images)
        found.problems += _ending(pair.image, content)
        if facts.truncated_images and truncated(read_bytes(pair.image)):
            remedy = "the data set is distributed so, the rest of the image is grey"
            problem = DataError(pair.image, "truncated", "is truncated", remedy)
            found.problems.append(("warning", problem))
        image = images.decode_image(pair.image, content, facts.channels, facts.max_value)
        found.size = _size(image)
    except DataError as error:
        found.problems.append(("error", error))
    if pair.mask is None:
        return found
    form = info.labels[pair.form]
    try:
        paths = pair.parts or (pair.mask,)
        parts = []
        for path in paths:
            content = read_intact(path)
            found.problems += _ending(path, content)
            found.problems += _lossy(path, content, form)
            parts.append(masks.decode_labels(path, content, form))
        labels = parts[0] if len(parts) == 1 else masks.merge_labels(paths, parts)
        if image is not None:
            try:
                own, may = labels.shape, facts.resize_masks
                labels = masks.fitted(labels, image.shape, pair.mask, pair.image, may)
                found.resized = labels.shape != own
            except DataError as error:
                found.problems.append(("error", error))
        try:
            mask = masks.to_classes(pair.mask, labels, form, strict=True)
        except DataError as error:
            if not form.lenient:
                raise
            found.problems.append(("warning", error))
            mask = masks.to_classes(pair.mask, labels, form)
    except DataError as error:
        found.problems.append(("error", error))
        return found
    found.histogram = histogram(mask)
    if not found.histogram[:UNKNOWN].any():
        problem = DataError(
            pair.mask, "all ignored", "has no valid pixel", "remove it with its image"
        )
        found.problems.append(("warning", problem))
    return found


def _add(summary, found, findings):
    """Enter what a pair told."""
    for severity, problem in found.problems:
        findings.append(_finding(problem, summary.split, severity))
    if found.size:
        summary.sizes[found.size] = summary.sizes.get(found.size, 0) + 1
    if found.histogram is not None:
        for index in range(len(summary.pixels)):
            summary.pixels[index] += int(found.histogram[index])
            summary.occurs[index] += bool(found.histogram[index])
        summary.ignored += int(found.histogram[IGNORE])
