"""What an evaluation found: a row for every image, the scores of all, and how they are written."""

import csv
import io
import json
import math
import re

from .. import files
from ..columns import counted
from ..errors import MXNetSegError
from . import presets
from .protocol import Protocol

_NUMBERS = re.compile(r"(?<=\[)\n[-+.\deE,\s]+(?=\])")  # strings of JSON hold no line breaks


class Tally:
    """Counts image after image.

    Args:
        metrics: see :func:`mxnetseg.metrics.create`.
    """

    def __init__(self, metrics):
        self.metrics, self.rows = metrics, []
        self.needs_scores = any(metric.needs_scores for metric in metrics)
        self.needs_logits = any(metric.needs_logits for metric in metrics)

    def add(self, sample, classes, scores=None, windows=None):
        """Count the class map of a sample; the rest only where a metric needs it."""
        self.rows.append(_row(self.metrics, sample, classes, scores, windows))

    def result(self, **described):
        """results.json: what the metrics found, what describes it, what was counted."""
        scores = found(self.metrics)
        preset = (described.get("protocol") or {}).get("preset")
        if preset:
            mean, rule = presets.published_miou(preset, scores)
            scores.update(miou_published_rule=mean, published_rule=rule)
        counts = {metric.name: metric.counts() for metric in self.metrics}
        return {**scores, **described, "counts": counts}


def write(out, result, rows):
    """Write results.json and per_image.csv into a folder."""
    files.write(out / "per_image.csv", _csv(rows))
    files.write(out / "results.json", _json(result))


def _row(metrics, sample, classes, scores, windows):
    """Count an image; its row of per_image.csv."""
    if sample.mask is None:
        raise MXNetSegError(f"{sample.name} has no mask, so it cannot be scored.")
    height, width = sample.mask.shape
    row = {"image": sample.name, "width": width, "height": height}
    for metric in metrics:
        more = (scores,) * metric.needs_scores + (windows,) * metric.needs_logits
        row.update(metric.update(classes, sample.mask, sample, *more))
    return row


def found(metrics):
    """What all metrics found; their facts about a class stand together."""
    together, classes = {}, {}
    for metric in metrics:
        result = metric.result()
        for entry in result.pop("classes", ()):
            classes.setdefault(entry["name"], {}).update(entry)
        together.update(result)
    return {**together, "classes": list(classes.values())}


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
    protocol = result.get("protocol")
    how = Protocol(**protocol) if protocol else f"label maps of {result['predictions']}"
    lines.append(f"{counted(result['images'], 'image')} in {result['seconds']:.0f} s, {how}")
    return "\n".join(lines)
