"""What a run tells: log.jsonl, the terminal, Weights & Biases."""

import collections
import contextlib
import json
import math
import os
import time

import numpy as np
from tqdm import tqdm

from .. import config as configuration
from .. import files
from ..errors import UsageError
from .health import diverged


class Log:
    """log.jsonl always; the terminal and wandb beside it.

    Args:
        step, epochs: where the run stands; epochs whose validation is done.

    A record of training stands for the steps since the one before: every ``train.log_interval``
    steps, and whenever the run is saved.
    """

    def __init__(self, out, experiment, step=0, epochs=0):
        self._interval = experiment.train.log_interval
        self._batch = experiment.train.batch_size * experiment.train.accumulate
        self._epochs = experiment.train.epochs
        self._path = out / "log.jsonl"
        files.write(out / "config.yaml", configuration.to_yaml(experiment))
        try:
            self._drop_after(step, epochs)
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise files.cannot_write(self._path, error) from None
        self._wandb = _wandb(experiment, out)
        self._unread, self._losses, self._norms, self._last = collections.deque(), [], [], {}
        self._timed, self._since = 0, time.time()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):  # of a full disk, which was reported
            self._file.close()
        if self._wandb:
            self._wandb.finish()

    def step(self, step, epoch, rate, parts, norm, bar):
        """Note a step; what it is told as arrays, :meth:`settle` reads when the devices went on.

        Args:
            step: the first one is 1.
            parts: arrays (1,), their sum is the loss.
            norm: of the gradients (1,), or None.
        """
        self._unread.append((step, epoch, rate, parts, norm, bar))

    def settle(self, ahead=0):
        """Read the losses of all steps but the last ``ahead``; MXNetSegError if one is not finite.

        So the host is never more than ``ahead`` steps ahead of the devices.
        """
        while len(self._unread) > ahead:
            step, epoch, rate, parts, norm, bar = self._unread.popleft()
            loss = sum(part.asscalar() for part in parts)
            if not math.isfinite(loss):
                raise diverged(step)
            self._losses.append(loss)
            if norm is not None:
                self._norms.append(float(norm.asscalar()))
            self._timed += 1
            self._last = {"step": step, "epoch": epoch + 1, "loss": None, "lr": rate}
            if step % self._interval == 0:
                bar.set_postfix(loss=f"{np.mean(self._losses):.3f}", lr=f"{rate:.2g}")
                self.flush()

    def flush(self):
        """Write the record of the steps that have none yet."""
        if not self._losses:
            return
        now = time.time()
        self._last["loss"] = float(np.mean(self._losses))
        if self._norms:
            self._last["gradient_norm"] = float(np.mean(self._norms))
        if self._timed:
            speed = self._timed * self._batch / max(now - self._since, 1e-9)
            self._last["images_per_second"] = round(speed, 2)
        self._write(**self._last)
        self._losses, self._norms = [], []
        self._timed, self._since = 0, now

    def restart(self):
        """Begin anew to measure the speed: what went on until now was no training."""
        self._timed, self._since = 0, time.time()

    def validation(self, step, epoch, result, best):
        """Note the scores of a validation."""
        keys = ("miou", "pixel_accuracy", "mean_accuracy", "seconds")
        scores = {k: result[k] for k in keys}
        self._write(step=step, epoch=epoch + 1, best=best, **scores)
        self.restart()
        _say(
            f"epoch {epoch + 1}/{self._epochs}  mIoU {result['miou']:.4f}  pixel accuracy "
            f"{result['pixel_accuracy']:.4f}  best {best:.4f}"
        )

    def _write(self, **record):
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise files.cannot_write(self._path, error) from None
        if self._wandb:
            self._wandb.log(record, step=record["step"])

    def _drop_after(self, step, epochs):
        """Remove what a run that was killed had noted after its last checkpoint."""
        if not self._path.exists():
            return
        kept = []
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record = json.loads(line)
                valid = record["epoch"] <= epochs if "miou" in record else record["step"] <= step
            except (ValueError, TypeError, KeyError):  # half a record, which a full disk leaves
                valid = False
            kept += [line + "\n"] if valid else []
        files.write(self._path, "".join(kept))


def _say(text):
    """Print above the bar; a reader who went away (``| head``) does not end the run."""
    with contextlib.suppress(BrokenPipeError):
        tqdm.write(text)


def _wandb(experiment, out):
    if not experiment.log.wandb:
        return None
    try:
        import wandb
    except ImportError:
        raise UsageError("--wandb needs the package: pip install wandb") from None
    online = "online" if os.environ.get("WANDB_API_KEY") else "offline"
    return wandb.init(
        project=experiment.log.wandb, dir=str(out), config=experiment.model_dump(mode="json"),
        mode=os.environ.get("WANDB_MODE", online),
    )  # fmt: skip
