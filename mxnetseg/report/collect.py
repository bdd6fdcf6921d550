"""What a page tells about a run: everything is read from the files of training and evaluation."""

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from .. import checkpoint as checkpoints
from .. import data, metrics, plain_yaml, runs, runtime
from ..columns import counted
from ..description import Description
from ..errors import MXNetSegError, UsageError
from ..inference import evaluator, onnxfile, runtimes
from ..inference.checkpoints import of_checkpoint
from ..inference.protocol import Protocol

METRICS = ("boundary_iou", "boundary_distance", "calibration", "bootstrap")
"""What is measured besides the overlap where the page has to evaluate by itself."""


@dataclass
class Run:
    """A trained network and how it was scored; what is not known is None or empty.

    Attributes:
        name: what tells it from the other runs of the page.
        folder: of the evaluation, or of the training where there is none.
        experiment: nested mappings. log: the records of log.jsonl.
        result: results.json. rows: of per_image.csv, numbers as floats.
        description: of the data, by the checkpoint.
        checkpoint: Checkpoint, read; None if its file is not there.
    """

    name: str
    folder: Path
    experiment: Dict[str, Any] = field(default_factory=dict)
    log: List[dict] = field(default_factory=list)
    result: Optional[dict] = None
    rows: List[dict] = field(default_factory=list)
    description: Optional[Description] = None
    checkpoint: Optional[checkpoints.Checkpoint] = None

    @property
    def classes(self):
        """Their names."""
        return [c["name"] for c in self.result["classes"]]

    @property
    def confusion(self):
        """int64 (classes, classes), row = truth; None in results of old versions."""
        counts = (self.result.get("counts") or {}).get("accuracy") or {}
        return np.asarray(counts["confusion"], np.int64) if "confusion" in counts else None

    @property
    def order(self):
        """For each class of the network that of the data set, or None."""
        return self.result.get("order")

    @property
    def palette(self):
        """uint8 (classes, 3) in the order of the result's classes, or None."""
        if self.description is not None:
            palette, order = self.description.palette, self.order
            return palette if order is None else palette[np.argsort(order)]
        named = (self.result.get("data") or {}).get("name") or self.result.get("dataset")
        try:
            return data.info(named).palette
        except (MXNetSegError, AttributeError, TypeError):  # no data set that is known here
            return None

    def same_images(self, other):
        """Whether both were scored on the same images and classes."""
        keys = ("dataset", "split")
        return (
            all(self.result[k] == other.result[k] for k in keys) and self.classes == other.classes
        )


def collect(folders, ask=None):
    """The runs of folders; each is evaluated first if it has no evaluation.

    Args:
        folders: of an evaluation (results.json) or of a training (log.jsonl, config.yaml).
        ask: DEVICES of ``--ctx``, for an evaluation.

    Raises:
        UsageError: a folder is neither.
    """
    paths = [Path(f) for f in folders]
    return [_run(path, name, ask) for path, name in zip(paths, _names(paths))]


def _names(paths):
    """The shortest ends of the paths that differ."""
    parts = [p.resolve().parts for p in paths]
    for count in range(1, max(len(p) for p in parts) + 1):
        names = ["/".join(p[-count:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    raise UsageError("The same folder is named twice.")


def _run(folder, name, ask):
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Give one of `mxnetseg train` or `mxnetseg eval`.")
    if (folder / "results.json").exists():
        return _evaluated(folder, name, folder)
    best = runs.best_checkpoint(folder)
    if best is None and not (folder / "log.jsonl").exists():
        raise UsageError(
            f"{folder} holds neither an evaluation (results.json) nor a training (log.jsonl, "
            "best.params). Give --out of `mxnetseg train` or `mxnetseg eval`."
        )
    if best is None:
        return Run(name, folder, _experiment(folder), runs.records(folder / "log.jsonl"))
    inside = _evaluation_of(folder, best)
    if inside is None:
        inside = folder / "eval"
        evaluate(folder / best, inside, ask)
    return _evaluated(inside, name, folder)


def _evaluation_of(folder, best):
    """The newest evaluation below a folder of the checkpoint that it holds, or None."""
    newer = (folder / best).stat().st_mtime
    found = [p for p in folder.glob("*/results.json") if p.stat().st_mtime >= newer]
    found = [p for p in found if Path(str(_json(p).get("checkpoint"))).name == best]
    return max(found, key=lambda p: p.stat().st_mtime).parent if found else None


def evaluate(path, out, ask=None):
    """Score a checkpoint on the validation split of its data, with all that the page shows."""
    saved = checkpoints.read(path)
    section = saved.experiment.get("data") or {}
    if "name" not in section:
        raise UsageError(
            f"{path} does not say which data it was trained on: run `mxnetseg eval --data NAME "
            f"--metrics {' '.join(METRICS)}` first, and name its folder."
        )
    where = {
        "name": section["name"],
        "root": section.get("root"),
        "split": section.get("val_split") or "val",
        "options": section.get("options") or {},
    }
    dataset = data.create(where["name"], where["split"], where["root"], **where["options"])
    many = counted(len(dataset), "image")
    print(f"evaluating {path} on {many} ({where['split']}) -> {out}", flush=True)
    evaluator.run(
        backend(saved, ask), dataset, Protocol.build(saved.meta), metrics.create(METRICS, dataset),
        out, described={"checkpoint": str(path), "split": where["split"], "data": where},
    )  # fmt: skip


def backend(saved, ask=None):
    """The network of a checkpoint, ready to answer."""
    if saved.path.endswith(".onnx"):
        file = onnxfile.read(saved.path)
        return runtimes.start(runtimes.made_for(file), file, ask)
    return of_checkpoint(saved, runtime.contexts(ask))


def _evaluated(folder, name, named):
    result = _json(folder / "results.json")
    if not result.get("classes"):
        raise MXNetSegError(f"{folder / 'results.json'} holds no scores of classes.")
    for entry, short in zip(result["classes"], short_names(c["name"] for c in result["classes"])):
        entry["name"] = short
    run = Run(name, folder, result=result, rows=_rows(folder / "per_image.csv"))
    path = _find(result.get("checkpoint"), folder)
    if path is not None:
        onnx = path.suffix == ".onnx"
        run.checkpoint = onnxfile.read(path).checkpoint if onnx else checkpoints.read(path)
        run.description = run.checkpoint.description
        run.experiment = run.checkpoint.experiment
        run.log = runs.records(path.parent / "log.jsonl")
    if (named / "log.jsonl").exists():
        run.log, run.experiment = (
            runs.records(named / "log.jsonl"),
            _experiment(named) or run.experiment,
        )
    return run


def short_names(names):
    """Class names to write into figures: the first of a list of synonyms, where that is clear."""
    names = list(names)
    first = [name.replace(";", ",").split(",")[0].strip() or name for name in names]
    return [a if first.count(a) == 1 else name for a, name in zip(first, names)]


def _find(path, folder):
    """The checkpoint that a result names: from here, or from the folders around the result."""
    if not path:
        return None
    tries = [Path(path), *(p / path for p in folder.resolve().parents)]
    tries += [p / Path(path).name for p in (folder, folder.parent)]
    return next((t for t in tries if t.is_file()), None)


# --- files --------------------------------------------------------------------------------------


def _json(path):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MXNetSegError(f"{path} cannot be read: {error}.") from None
    if not isinstance(found, dict):
        raise MXNetSegError(f"{path} is no result of an evaluation.")
    return found


def _experiment(folder):
    path = folder / "config.yaml"
    return plain_yaml.read(path, "The configuration ") or {} if path.exists() else {}


def _rows(path):
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return [
            {k: v if k == "image" else _float(v) for k, v in r.items()}
            for r in csv.DictReader(file)
        ]


def _float(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
