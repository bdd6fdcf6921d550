"""What the sections of a page say: numbers, sentences and figures of runs."""

import math
from typing import NamedTuple

import numpy as np

from ..metrics.confusion import divide
from ..runs import smooth
from . import figures
from .collect import short_names

NUMBERS = (
    ("miou", "mIoU", "mean IoU over the classes that occur"),
    ("pixel_accuracy", "pixel accuracy", "share of the labelled pixels that are right"),
    ("mean_accuracy", "mean accuracy", "mean over the classes of the share that was found"),
    ("frequency_weighted_iou", "weighted IoU", "IoU weighted by the share of each class"),
    ("boundary_miou", "boundary mIoU", "IoU of what lies near the outlines, mean over classes"),
    ("boundary_f", "boundary F", "F score of the outlines"),
    ("expected_calibration_error", "calibration error", "how far confidence is from accuracy"),
    ("category_miou", "category mIoU", "Cityscapes' own"),
    ("iiou", "iIoU", "Cityscapes' own"),
)
LOWER_IS_BETTER = ("expected_calibration_error",)


def percent(value, digits=1):
    """A share as text; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{100 * value:.{digits}f}"


class Number(NamedTuple):
    """One number of all runs: texts, the changes against the first run, and which is best."""

    key: str
    label: str
    note: str
    values: list
    changes: list
    best: int
    interval: str


def numbers(runs):
    """The headline: [Number]."""
    found = []
    for key, label, note in NUMBERS:
        values = [run.result.get(key) for run in runs]
        if all(v is None for v in values):
            continue
        sign = -1 if key in LOWER_IS_BETTER else 1
        ranked = [sign * v if v is not None else -math.inf for v in values]
        changes = [
            None if k == 0 or v is None or values[0] is None else 100 * (v - values[0])
            for k, v in enumerate(values)
        ]
        low, high = runs[0].result.get("miou_interval") or (None, None)
        interval = f"{percent(low)} … {percent(high)}" if key == "miou" and low else ""
        found.append(
            Number(
                key,
                label,
                note,
                [
                    percent(v, 2 if key in ("miou", "expected_calibration_error") else 1)
                    for v in values
                ],
                [None if c is None else (f"{c:+.2f}", sign * c > 0) for c in changes],
                int(np.argmax(ranked)),
                interval,
            )
        )
    return found


# --- sentences ----------------------------------------------------------------------------------


def findings(run):
    """What stands out, as sentences."""
    result, said = run.result, []
    known = [c for c in result["classes"] if c["iou"] is not None]
    weak = sorted(known, key=lambda c: c["iou"])[: 3 if len(known) > 3 else 1]
    said.append(
        "The weakest classes are "
        + _list(f"{c['name']} ({percent(c['iou'], 0)} % IoU)" for c in weak)
        + "."
    )
    confusions = top_confusions(run, 3)
    if confusions:
        said.append(
            "Most pixels are lost where "
            + _list(f"{c['truth']} is taken for {c['found']}" for c in confusions)
            + f": {sum(c['of_errors'] for c in confusions):.0f} % of all errors."
        )
    said += filter(None, [_boundary(result), _confidence(result), _images(run), _training(run)])
    return said


def _boundary(result):
    bins = result.get("boundary_distance")
    if not bins:
        return None
    near = [b for b in bins if b["to"] is not None and b["to"] <= 4 and b["pixels"]]
    every = [b for b in bins if b["pixels"]]
    wrong = [sum(b["pixels"] * (1 - b["accuracy"]) for b in some) for some in (near, every)]
    share = sum(b["pixels"] for b in near) / sum(b["pixels"] for b in every)
    if not wrong[1]:
        return None
    return (
        f"{percent(wrong[0] / wrong[1], 0)} % of the errors lie within 4 pixels of a boundary, "
        f"where {percent(share, 0)} % of the pixels are; away from boundaries "
        f"{percent(result['accuracy_of_interior'])} % are right."
    )


def _confidence(result):
    bins = [b for b in result.get("reliability") or [] if b["pixels"]]
    if not bins:
        return None
    pixels = np.array([b["pixels"] for b in bins], float)
    sure, right = (
        float((pixels * [b[k] for b in bins]).sum() / pixels.sum())
        for k in ("confidence", "accuracy")
    )
    gap = sure - right
    word = "about as sure as it is right" if abs(gap) < 0.01 else (
        "surer than it is right" if gap > 0 else "right more often than it is sure"
    )  # fmt: skip
    return f"The network is {word}: mean confidence {percent(sure)} %, accuracy {percent(right)} %."


def _images(run):
    scores = _scores(run)
    if len(scores) < 8:
        return None
    low, high = np.percentile(scores, [10, 90])
    return (
        f"The worst tenth of the images has less than {percent(low, 0)} % mIoU, the best tenth "
        f"more than {percent(high, 0)} %."
    )


def _training(run):
    records = validations(run)
    if len(records) < 2:
        return None
    best = max(records, key=lambda r: r["miou"])
    last = records[-1]
    if best is last:
        return (
            f"The best validation is the last one, after epoch {last['epoch']}: longer training "
            "may still help."
        )
    lost = 100 * (best["miou"] - last["miou"])
    return (
        f"The best validation was after epoch {best['epoch']} of {last['epoch']}; the last one is "
        f"{lost:.2f} points below."
    )


def _list(texts):
    texts = list(texts)
    return texts[0] if len(texts) == 1 else ", ".join(texts[:-1]) + " and " + texts[-1]


# --- training -----------------------------------------------------------------------------------


def validations(run):
    return [r for r in run.log if "miou" in r]


def curves(runs):
    """[(title, figure)] of log.jsonl, the runs that have one over each other."""
    found = []
    known = [(k, run) for k, run in enumerate(runs) if run.log]
    steps = [(k, [r for r in run.log if "loss" in r]) for k, run in known]
    steps = [(k, records) for k, records in steps if len(records) > 1]
    if steps:
        series = []
        for k, records in steps:
            xs, ys = [r["step"] for r in records], [r["loss"] for r in records]
            series.append({"x": xs, "y": ys, "css": f"run{k} raw"})
            series.append({"x": xs, "y": smooth(ys), "css": f"run{k}"})
        top = np.percentile([v for s in series for v in s["y"]], 99.5)
        series = [{**s, "y": [min(v, top) for v in s["y"]]} for s in series]
        found.append(("Loss", figures.lines(series, "step", "training loss over steps", low=0)))
    scored = [(k, validations(run)) for k, run in known if len(validations(run)) > 1]
    if scored:
        series = []
        for k, records in scored:
            for key, extra in (("pixel_accuracy", " second"), ("miou", "")):
                points = [(r["epoch"], r[key]) for r in records if r.get(key) is not None]
                x, y = zip(*points)
                series.append(
                    {"x": x, "y": y, "css": f"run{k}{extra}", "dots": not extra, "name": "mIoU"}
                )
        text = "mIoU (and, fainter, pixel accuracy) of the validations"
        found.append(
            (
                "Validation: mIoU, dashed pixel accuracy",
                figures.lines(series, "epoch", text, figures.percent),
            )
        )
    found += _curve(known, "validation_loss", "Validation loss", "validation loss", "epoch")
    if len(steps) == 1:
        found += _parts(steps[0][1])
    found += _curve(known, "lr", "Learning rate", "learning rate over steps")
    text = "norm of the gradients"
    found += _curve(known, "gradient_norm", "Norm of the gradients", text, smoothed=True)
    return found


def _curve(known, key, title, text, over="step", smoothed=False):
    """[(title, figure)] of an entry of log.jsonl, of the runs that have it more than once."""
    series = []
    for k, run in known:
        records = [r for r in run.log if r.get(key)]
        if len(records) > 1:
            y = [r[key] for r in records]
            y = smooth(y) if smoothed else y
            series.append({"x": [r[over] for r in records], "y": y, "css": f"run{k}"})
    return [(title, figures.lines(series, over, text, low=0))] if series else []


def _parts(records):
    """The parts of the loss of one run, where it has several."""
    records = [r for r in records if r.get("parts")]
    names = list(records[-1]["parts"]) if len(records) > 1 else []
    records = [r for r in records if list(r["parts"]) == names]
    series = [
        {
            "x": [r["step"] for r in records],
            "y": smooth([r["parts"][name] for r in records]),
            "css": f"run{k % 6}",
            "text": name,
        }
        for k, name in enumerate(names)
    ]
    if not series:
        return []
    return [("Parts of the loss", figures.lines(series, "step", "parts of the loss", low=0))]


# --- classes ------------------------------------------------------------------------------------


def share(run):
    """The confusion matrix with rows that sum to 1; NaN where a class has no pixels."""
    counts = run.confusion
    return divide(counts, counts.sum(axis=1, keepdims=True))


def top_confusions(run, count=20):
    """[{"truth", "found", "pixels", "of_truth", "of_errors"}], the most pixels first; percents."""
    counts = run.confusion
    if counts is None:
        return []
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    total = max(int(wrong.sum()), 1)
    names, rows = run.classes, share(run)
    found = []
    for index in np.argsort(-wrong, axis=None, kind="stable")[:count]:
        row, column = divmod(int(index), len(names))
        if wrong[row, column]:
            found.append(
                {
                    "truth": names[row],
                    "found": names[column],
                    "row": row,
                    "column": column,
                    "pixels": int(wrong[row, column]),
                    "of_truth": 100 * rows[row, column],
                    "of_errors": 100 * wrong[row, column] / total,
                }
            )
    return found


COLUMNS = (
    ("accuracy", "found", "recall: share of the class's pixels that were found"),
    ("precision", "precise", "precision: share of its predictions that are right"),
    ("boundary_iou", "outline", "boundary IoU"),
    ("accuracy_near_boundary", "near edges", "right within 4 pixels of a boundary"),
    ("accuracy_of_interior", "inside", "right further than 4 pixels from a boundary"),
)


def classes(runs):
    """The table of classes: (columns that are there, rows).

    Every row: {"name", "color", "iou": [of each run], "bars", "cells": [[text of each run]],
    "frequency", "taken": "pole 12 %", "trend": [spark]}.
    """
    first = runs[0]
    columns = [
        c for c in COLUMNS if any(row.get(c[0]) is not None for row in first.result["classes"])
    ]
    frequency = _frequency(first)
    taken = _taken_for(first)
    trends, colors = [_trends(run) for run in runs], _colors(first)
    rows = []
    for k, name in enumerate(first.classes):
        mine = [_of(run, name) for run in runs]
        rows.append(
            {
                "name": name,
                "color": colors[k],
                "iou": [c.get("iou") for c in mine],
                "cells": [[c.get(key) for c in mine] for key, _, _ in columns],
                "frequency": None if frequency is None else float(frequency[k]),
                "taken": taken.get(k, ""),
                "trends": [
                    figures.spark(t[name], f"run{j}") for j, t in enumerate(trends) if name in t
                ],
            }
        )
    return columns, rows


def _of(run, name):
    return next((c for c in run.result["classes"] if c["name"] == name), {})


def _colors(run):
    """The classes' colours for CSS."""
    palette = run.palette
    if palette is None or len(palette) != len(run.classes):
        return ["#999999"] * len(run.classes)
    return ["#{:02x}{:02x}{:02x}".format(*color) for color in np.asarray(palette).tolist()]


def _frequency(run):
    counts = run.confusion
    return None if counts is None else counts.sum(axis=1) / max(int(counts.sum()), 1)


def _taken_for(run):
    """{class: what it is most often taken for}."""
    if run.confusion is None:
        return {}
    rows = share(run)
    np.fill_diagonal(rows, 0)
    best = np.nan_to_num(rows).argmax(axis=1)
    return {
        k: f"{run.classes[b]} {100 * rows[k, b]:.0f} %"
        for k, b in enumerate(best)
        if rows[k, b] > 0.005
    }


def _trends(run):
    """{class: its IoU in every validation}, where training logs them."""
    found = {}
    for record in validations(run):
        scores = record.get("iou") or {}
        for name, value in zip(short_names(scores), scores.values()):
            if value is not None:
                found.setdefault(name, []).append(value)
    return found


def histogram(runs):
    """mIoU over images, or "" where a run does not have it."""
    scores = [_scores(run) for run in runs]
    return figures.histogram(scores, "mIoU over images") if all(scores) else ""


def confusions(runs):
    """[{"run", "figure", "shares", "top"}] of the runs that have a matrix."""
    found = []
    for k, run in enumerate(runs):
        if run.confusion is None:
            continue
        rows = share(run)
        text = f"confusion matrix of {run.name}: rows are the truth"
        found.append(
            {
                "run": k,
                "figure": figures.confusion(rows, run.classes, text),
                # 65535: the class does not occur
                "shares": [
                    [65535 if math.isnan(v) else round(1e4 * v) for v in row]
                    for row in rows.tolist()
                ],
                "pixels": run.confusion.sum(axis=1).tolist(),
                "names": run.classes,
                "top": top_confusions(run, 15),
            }
        )
    return found


def spread(runs):
    """The distribution of mIoU over images: [(label, [text of each run])]."""
    scores = [_scores(run) for run in runs]
    if not all(scores):
        return []
    tenths = (("worst tenth below", 10), ("median", 50), ("best tenth above", 90))
    rows = [("mean", [percent(float(np.mean(s))) for s in scores])]
    rows += [(name, [percent(float(np.percentile(s, at))) for s in scores]) for name, at in tenths]
    rows += [(f, [percent(g(s)) for s in scores]) for f, g in (("lowest", min), ("highest", max))]
    return rows


def _scores(run):
    """mIoU of the images that have one."""
    return [row["miou"] for row in run.rows if not math.isnan(row.get("miou", math.nan))]


def frequencies(runs):
    """(IoU over the share of the pixels, bars of truth against prediction) or None."""
    points = []
    for run in runs:
        part = _frequency(run)
        if part is None:
            return None
        points.append(
            [
                (float(part[k]), c["iou"], c["name"])
                for k, c in enumerate(run.result["classes"])
                if part[k] > 0 and c["iou"] is not None
            ]
        )
    labels = "share of the labelled pixels", "IoU over class frequency"
    return figures.scatter(points, *labels) if all(points) else None


def balance(run):
    """[{"name", "truth", "found"}]: shares of the pixels, the most frequent first."""
    if run.confusion is None:
        return []
    counts, colors = run.confusion, _colors(run)
    truth, found = (counts.sum(axis=axis) / max(int(counts.sum()), 1) for axis in (1, 0))
    order = [k for k in np.argsort(-truth, kind="stable") if truth[k] or found[k]]
    return [
        {"name": run.classes[k], "color": colors[k], "truth": truth[k], "found": found[k]}
        for k in order
    ]
