"""Trainings side by side: their scores, their time, and the settings in which they differ.

Everything is read from ``log.jsonl`` and ``config.yaml`` of their folders.
"""

import csv
import datetime
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from . import packages, plain_yaml
from .columns import aligned
from .config import DATA_PATHS
from .errors import MXNetSegError, UsageError

# what has a column of its own, or does not change what a network learns
APART = ("model.name", "model.backbone", "data.name", *DATA_PATHS, "data.workers",
         "data.worker_mode", "data.cache_memory", "train.log_interval",
         "train.save_minutes")  # fmt: skip
COST_TITLES = ("parameters", "multiply-adds", "images/s, inference")
COSTS = ("parameters", "macs", "inference_images_per_second")
APART_SECTIONS = ("log", "eval")


@dataclass
class Run:
    """A training as its folder tells it.

    Attributes:
        name: its folder, from where the search began.
        folder: its path.
        experiment: nested mappings; empty if config.yaml cannot be read.
        log: the records of log.jsonl.
    """

    name: str
    folder: Path
    experiment: Dict[str, Any]
    log: List[dict]

    @property
    def steps(self):
        """The records of training."""
        return [r for r in self.log if r.get("loss") is not None]

    @property
    def validations(self):
        """The records of validations."""
        return [r for r in self.log if r.get("miou") is not None]

    @property
    def best(self):
        """The validation with the largest mIoU, or None."""
        return max(self.validations, key=lambda r: r["miou"], default=None)

    @property
    def seconds(self):
        """Spent on training and validating; None if the log does not tell."""
        last, total = 0, 0.0
        for record in self.steps:
            total += (record["step"] - last) * record.get("step_seconds", 0)
            last = record["step"]
        return total + sum(r.get("seconds", 0) for r in self.validations) if total else None

    @property
    def images_per_second(self):
        """Of training, the median over the log's records; None if the log does not tell."""
        rates = [r["images_per_second"] for r in self.steps if r.get("images_per_second")]
        return float(np.median(rates)) if rates else None

    def setting(self, key, default=None):
        """The value of a dotted key."""
        value = self.experiment
        for part in key.split("."):
            value = value.get(part, {}) if isinstance(value, dict) else {}
        return default if value == {} or value is None else value

    @property
    def network(self):
        """As "fcn resnet50"."""
        parts = self.setting("model.name", "?"), self.setting("model.backbone")
        return " ".join(str(part) for part in parts if part)


def find(root):
    """The runs below a folder, or the one in it; the best mIoU first.

    Raises:
        UsageError: there is none.
    """
    root = Path(root)
    found = sorted(root.rglob("log.jsonl"))
    if not found:
        raise UsageError(f"There is no log.jsonl below {root}. Name a folder of `mxnetseg train`.")
    names = (os.path.relpath(str(path.parent), str(root)) for path in found)
    runs = [
        Run(
            root.resolve().name if name == "." else Path(name).as_posix(),
            path.parent,
            *read(path.parent),
        )
        for name, path in zip(names, found)
    ]
    return sorted(runs, key=lambda run: -run.best["miou"] if run.best else 1)


def read(folder):
    """(experiment, records) of a run's folder."""
    try:
        experiment = plain_yaml.read(folder / "config.yaml", "The configuration ")
    except MXNetSegError:  # one broken file shall not hide all other runs
        experiment = {}
    return experiment if isinstance(experiment, dict) else {}, records(folder / "log.jsonl")


def best_checkpoint(folder):
    """The name of a run's best network, else of its last one; None if there is neither."""
    return next((n for n in ("best.params", "last.params") if (folder / n).exists()), None)


def records(path):
    """The records of a log; what a running training has written half is left out."""
    found = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "step" in record and "epoch" in record:
                found.append(record)
    return found


def differences(runs):
    """The dotted keys of settings that are not the same in all runs, in their order."""
    flat = [dict(_flat(run.experiment)) for run in runs if run.experiment]
    keys = dict.fromkeys(key for settings in flat for key in settings)
    return [
        key
        for key in keys
        if key not in APART
        and key.partition(".")[0] not in APART_SECTIONS
        and any(settings.get(key) != flat[0].get(key) for settings in flat)
    ]


def _flat(tree, prefix=""):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", None if value == {} else value


def rows(runs, costs=None):
    """For each run {column: value or None}; settings that differ have a column each.

    Args:
        costs: what :func:`mxnetseg.costs.measure` found; adds a column for each.
    """
    keys, found = differences(runs), []
    for run in runs:
        best, last = run.best or {}, run.log[-1] if run.log else {}
        found.append({
            "run": run.name,
            "network": run.network,
            "data": run.setting("data.name", "?"),
            "miou": best.get("miou"),
            "pixel_accuracy": best.get("pixel_accuracy"),
            "best_epoch": best.get("epoch"),
            "last_epoch": last.get("epoch"),
            "epochs": run.setting("train.epochs"),
            "seconds": run.seconds,
            "images_per_second": run.images_per_second,
            **{key: (costs.get(run.name) or {}).get(key) for key in COSTS if costs},
            **{key: run.setting(key) for key in keys},
        })  # fmt: skip
    return found


def as_text(runs, costs=None):
    """A table, with the settings that differ in one column."""
    keys = differences(runs)
    head = ("run", "network", "data", "settings", "mIoU", "best epoch", "epochs", "time")
    lines = [(*head, *(COST_TITLES if costs else ()))]
    for row in rows(runs, costs):
        settings = (
            f"{_short(key, keys)}={_value(row[key])}" for key in keys if row[key] is not None
        )
        lines.append((
            row["run"], row["network"], str(row["data"]), " ".join(settings),
            _or_dash(row["miou"], "{:.4f}".format),
            str(row["best_epoch"] or "-"),
            f"{row['last_epoch'] or 0}/{row['epochs'] or '?'}",
            _or_dash(row["seconds"], _time),
            *(_costs(row) if costs else ()),
        ))  # fmt: skip
    if not keys:
        lines = [line[:3] + line[4:] for line in lines]
    return "\n".join(aligned(lines, right=4 + len(lines[0]) - len(head) + (not keys)))


def as_markdown(runs, costs=None):
    """A table for a page: scores, time and costs, without settings."""
    head = ["run", "network", "data", "mIoU", "pixel accuracy", "epochs", "time"]
    lines = [[*head, "images/s, training", *(COST_TITLES if costs else ())]]
    lines.append(["---"] * 3 + ["---:"] * (len(lines[0]) - 3))
    for row in rows(runs, costs):
        lines.append([
            row["run"], row["network"], str(row["data"]),
            _or_dash(row["miou"], "{:.3f}".format),
            _or_dash(row["pixel_accuracy"], "{:.3f}".format),
            f"{row['last_epoch'] or 0}/{row['epochs'] or '?'}",
            _or_dash(row["seconds"], _time),
            _or_dash(row["images_per_second"], "{:.1f}".format),
            *(_costs(row) if costs else ()),
        ])  # fmt: skip
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _costs(row):
    parameters, macs, rate = (row[key] for key in COSTS)
    yield _or_dash(parameters, lambda count: f"{count / 1e6:.2f}M")
    yield _or_dash(macs, lambda count: f"{count / 1e9:.2f}G")
    yield _or_dash(rate, "{:.1f}".format)


def _or_dash(value, text):
    return "-" if value is None else text(value)


def _time(seconds):
    return str(datetime.timedelta(seconds=round(seconds)))


def _short(key, keys):
    """The last part of a key, where no other one ends so."""
    last = key.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in keys) == 1 else key


def _value(value):
    return json.dumps(value) if isinstance(value, (list, dict, bool)) else str(value)


def as_csv(runs, costs=None):
    """The same as CSV, with a column for each setting that differs."""
    table, buffer = rows(runs, costs), io.StringIO()
    writer = csv.DictWriter(buffer, list(table[0]), lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow(
            {k: _value(v) if isinstance(v, (list, dict)) else v for k, v in row.items()}
        )
    return buffer.getvalue()


def plot(runs):
    """The curves of all runs as a PNG: the training loss over steps, the mIoU over epochs."""
    figure = packages.figure()(figsize=(12, 5), layout="constrained")
    loss, miou = figure.subplots(1, 2)
    for run in runs:
        steps, validations = run.steps, run.validations
        values = smooth([r["loss"] for r in steps])
        loss.plot([r["step"] for r in steps], values, label=run.name)
        miou.plot(
            [r["epoch"] for r in validations], [r["miou"] for r in validations], marker=".",
            label=run.name,
        )  # fmt: skip
    loss.set(xlabel="step", ylabel="training loss")
    miou.set(xlabel="epoch", ylabel="mIoU of the validation")
    for axes in (loss, miou):
        axes.grid(alpha=0.3)
    miou.legend(loc="lower right", fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def smooth(values):
    """The mean over a twelfth of all values around each."""
    if not values:
        return []
    values, half = np.asarray(values, float), max(1, len(values) // 24)
    sums = np.concatenate([[0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return ((sums[high] - sums[low]) / (high - low)).tolist()
