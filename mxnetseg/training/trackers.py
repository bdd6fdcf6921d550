"""Weights & Biases and TensorBoard: where a run's records go beside log.jsonl."""

import os

import cv2
import numpy as np

from .. import config as configuration
from .. import packages
from ..data.images import as_picture
from ..inference.merge import segment
from ..palette import colorize

SHORTER = {"validation_loss": "loss", "train_miou": "miou"}  # behind train/ and val/
SHOWN, SHOWN_WIDTH = 4, 512  # images of a validation; pixels


def create(experiment, out, facts):
    """The trackers that an experiment asks for.

    Args:
        facts: {name: number} of the run besides its settings.

    Raises:
        UsageError: a package is missing.
    """
    found = []
    if experiment.log.wandb:
        found.append(WandB(experiment, out, facts))
    if experiment.log.tensorboard:
        found.append(TensorBoard(experiment, out, facts))
    return found


def scalars(record):
    """The numbers of a record of log.jsonl, as {"train/loss": 0.7, "val/iou/road": 0.9 ...}."""
    group, found = ("val" if "miou" in record else "train"), {}
    for key, value in record.items():
        if isinstance(value, dict):
            found.update({f"{group}/{key}/{name}": number for name, number in value.items()})
        elif key not in ("step", "epoch"):
            found[f"{group}/{SHORTER.get(key, key)}"] = value
    return {key: value for key, value in found.items() if value is not None}


def examples(backend, dataset, protocol):
    """{name: uint8 (H, W, 3)}: the first images of a data set, their masks, and what is predicted.

    Args:
        backend, protocol: see :func:`mxnetseg.inference.evaluator.run`.
    """
    palette, found = dataset.info.palette, {}
    for k in range(min(SHOWN, len(dataset))):
        sample = dataset[k]
        height, width = sample.mask.shape
        classes = segment(backend, sample.image, protocol, (height, width))
        size = SHOWN_WIDTH, max(1, round(SHOWN_WIDTH * height / width))
        row = (as_picture(sample.image), *(colorize(x, palette) for x in (sample.mask, classes)))
        row = [cv2.resize(x, size, interpolation=cv2.INTER_AREA) for x in row]
        found[sample.name] = np.concatenate(row, axis=1)
    return found


class WandB:
    """A run of Weights & Biases, offline where no API key is set.

    Its summary has ``best_miou`` and ``best_epoch``; a sweep maximises ``val/miou``.
    """

    def __init__(self, experiment, out, facts):
        self._wandb = packages.wandb()
        online = "online" if os.environ.get("WANDB_API_KEY") else "offline"
        self._run = self._wandb.init(
            project=experiment.log.wandb,
            dir=str(out),
            config={**experiment.model_dump(mode="json"), **facts},
            mode=os.environ.get("WANDB_MODE", online),
        )

    def record(self, record):
        """Log a record; the step only grows, so what a resumed run repeats is dropped there."""
        self._run.log({**scalars(record), "epoch": record["epoch"]}, step=record["step"])
        if "miou" in record and record["miou"] == record["best"]:
            self._run.summary["best_miou"] = record["best"]
            self._run.summary["best_epoch"] = record["epoch"]

    def pictures(self, step, pictures):
        """Log {name: uint8 (H, W, 3)}."""
        images = [self._wandb.Image(picture, caption=name) for name, picture in pictures.items()]
        self._run.log({"val/pictures": images}, step=step)

    def close(self):
        self._run.finish()


class TensorBoard:
    """Events in the run's folder, for ``tensorboard --logdir``."""

    def __init__(self, experiment, out, facts):
        self._writer = packages.tensorboard().SummaryWriter(logdir=str(out / "tensorboard"))
        self._writer.add_text(
            "settings",
            "\n".join(f"    {line}" for line in configuration.to_yaml(experiment).splitlines()),
            0,
        )
        for name, value in facts.items():
            self._writer.add_scalar(f"run/{name}", value, 0)

    def record(self, record):
        """Write a record's numbers."""
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, record["step"])
        self._writer.flush()

    def pictures(self, step, pictures):
        """Write {name: uint8 (H, W, 3)}."""
        for name, picture in pictures.items():
            self._writer.add_image(f"val/{name}", picture, step, dataformats="HWC")
        self._writer.flush()

    def close(self):
        self._writer.close()
