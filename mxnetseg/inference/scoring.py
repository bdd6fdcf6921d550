"""Scores without a network: of label maps in files, and of evaluations that were shared out."""

import contextlib
import csv
import json
import time
from pathlib import Path

from .. import data, files, metrics, progress
from ..errors import MXNetSegError, UsageError
from . import results, writers
from .evaluator import in_turn
from .label_maps import LabelMaps

SAME = ("dataset", "split", "checkpoint", "values", "protocol", "order")


def score(folder, dataset, measured, out, values=None, described=None):
    """Score the label maps of a folder against the masks of a data set.

    Args:
        folder: see :class:`~mxnetseg.inference.label_maps.LabelMaps`.
        dataset: with masks. measured: metrics, see :func:`mxnetseg.metrics.create`.
        out: folder for results.json and per_image.csv.
        values: what the maps hold; None: told from their values.
        described: further entries of the result.

    Returns:
        The result as of an evaluation, with ``protocol`` None.

    Raises:
        UsageError: a metric needs more than class maps.
        MXNetSegError: maps are missing, damaged, or of another size than the masks.
    """
    if not dataset.has_masks:
        raise MXNetSegError(f"The split '{dataset.split}' of {dataset.info.name} has no masks.")
    for metric in measured:
        if metric.needs_scores:
            raise UsageError(
                f"The metric '{metric.name}' needs the scores of a network, not class maps: "
                "use mxnetseg eval."
            )
    out = Path(out)
    files.check_folder(out)
    start, tally = time.time(), results.Tally(measured)
    maps = LabelMaps(folder, dataset.info, values)
    paths = maps.pair(dataset)
    maps.tell(list(paths.values()), truth=lambda k: dataset[k].mask)

    def read(sample, _):
        return maps.read(paths[sample.name])

    with progress.bar(total=len(dataset), unit="image") as bar:
        for sample, classes in in_turn(dataset.__getitem__, read, range(len(dataset)), 1):
            tally.add(sample, classes)
            bar.update()
    result = tally.result(
        protocol=None,
        predictions=str(folder),
        values=maps.values,
        dataset=dataset.info.name,
        split=dataset.split,
        checkpoint=None,
        images=len(dataset),
        seconds=round(time.time() - start, 3),
        **(described or {}),
    )
    results.write(out, result, tally.rows)
    return result


def convert(folder, info, out, to, values=None):
    """Write the label maps of a folder in another form.

    Args:
        folder, info, values: as of LabelMaps. out: folder.
        to: ``color``: palette PNGs in color/; ``raw``: the label values of the data set's files in
            raw/; ``submission``: those in submission.zip.

    Returns:
        (what the values were, how many files).
    """
    out = Path(out)
    files.check_folder(out)
    maps = LabelMaps(folder, info, values)
    maps.tell(list(maps.files.values()))
    with contextlib.ExitStack() as stack:
        if to == "submission":
            archive = stack.enter_context(files.Archive(out / "submission.zip"))
            write = writers.Submission(archive, info)
        else:
            write = writers.Folders(out, info, [to])
        bar = stack.enter_context(progress.bar(total=len(maps.files), unit="image"))
        for name, path in maps.files.items():
            write(f"{name}.png", maps.read(path))
            bar.update()
    return maps.values, len(maps.files)


def merge(folders, out):
    """Add up results of shares of one data set.

    Args:
        folders: of evaluations (``eval`` or ``score`` with ``--index``). out: folder.

    Raises:
        UsageError: they are of different evaluations, or hold an image twice.
        MXNetSegError: a result is missing or damaged.
    """

    parts = [(Path(folder), *_read(Path(folder))) for folder in folders]
    first = parts[0][1]
    for folder, result, _ in parts[1:]:
        for key in SAME:
            if result.get(key) != first.get(key):
                raise UsageError(
                    f"{folders[0]} and {folder} are of different evaluations: {key} is "
                    f"{first.get(key)} and {result.get(key)}."
                )
        if set(result["counts"]) != set(first["counts"]):
            raise UsageError(f"{folders[0]} and {folder} have different metrics: give the same.")
    seen = {}
    for folder, _, rows in parts:
        for row in rows:
            if row["image"] in seen:
                raise UsageError(f"{row['image']} is in {seen[row['image']]} and in {folder}.")
            seen[row["image"]] = folder
    where = first["data"]
    dataset = data.create(where["name"], where["split"], where["root"], **where["options"])
    measured = metrics.create([n for n in first["counts"] if n in metrics.METRICS], dataset)
    for metric in measured:
        for _, result, _ in parts:
            metric.add(result["counts"][metric.name])
    order = {name: k for k, name in enumerate(dataset.names)}
    rows = [row for _, _, rows in parts for row in rows]
    rows.sort(key=lambda row: order.get(row["image"], len(order)))
    kept = {k: v for k, v in first.items() if k in (*SAME, "data", "predictions", "protocol_rules")}
    result = results.Tally(measured).result(
        **kept,
        images=len(rows),
        missing_images=len(dataset) - len(rows),
        seconds=sum(result["seconds"] for _, result, _ in parts),
        merged=[str(folder) for folder in folders],
    )
    out = Path(out)
    files.check_folder(out)
    results.write(out, result, rows)
    return result


def _read(folder):
    """results.json and the rows of per_image.csv."""
    path = folder / "results.json"
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        with open(folder / "per_image.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not isinstance(result.get("counts"), dict) or "data" not in result:
            raise ValueError("it has no counts")
    except OSError:
        raise MXNetSegError(f"{folder} holds no results.json with per_image.csv.") from None
    except ValueError as error:
        raise MXNetSegError(f"{path} is no result of an evaluation: {error}.") from None
    return result, rows
