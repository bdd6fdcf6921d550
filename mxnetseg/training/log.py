"""What a run tells: log.jsonl, the terminal, and the trackers that were asked for."""

import collections
import contextlib
import datetime
import json
import math
import time

import numpy as np
from tqdm import tqdm

from .. import config as configuration
from .. import files
from . import trackers
from .group import ALONE
from .health import diverged


class Log:
    """log.jsonl always; the terminal, Weights & Biases and TensorBoard beside it.

    Args:
        step, epochs: where the run stands; epochs whose validation is done.
        total_steps: of the whole run.
        names: of the parts of the loss.
        facts: what trackers shall know besides the experiment, {name: value}.
        group: its first worker writes; the loss is that of all.
        score: a TrainingScore, whose mIoU is wanted; or None.

    A record of training stands for the steps since the one before: every ``train.log_interval``
    steps, and whenever the run is saved. ``docs/training.md`` explains its entries.
    """

    def __init__(
        self,
        out,
        experiment,
        step=0,
        epochs=0,
        total_steps=None,
        names=("main",),
        facts=None,
        group=ALONE,
        score=None,
    ):
        self._interval = experiment.train.log_interval
        self._batch = experiment.train.batch_size * experiment.train.accumulate
        self._epochs, self._names = experiment.train.epochs, names
        self._path = out / "log.jsonl"
        self._group, self._file, self._trackers, self._score = group, None, [], score
        if group.rank == 0:
            files.write(out / "config.yaml", configuration.to_yaml(experiment))
            try:
                self._drop_after(step, epochs)
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise files.cannot_write(self._path, error) from None
            self._trackers = trackers.create(experiment, out, facts or {})
        self._unread, self._parts, self._norms, self._last = collections.deque(), [], [], {}
        self._timed, self._waited, self._since = 0, 0.0, time.time()
        self._first, self._total, self._began = step, total_steps, self._since

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        with contextlib.suppress(OSError):  # of a full disk, which was reported
            if self._file:
                self._file.close()
        for tracker in self._trackers:
            tracker.close()

    def waiting_for(self, batches):
        """The same batches; the time until each of them is there counts as waiting for data."""
        batches = iter(batches)
        while True:
            begin = time.time()
            batch = next(batches, None)
            self._waited += time.time() - begin
            if batch is None:
                return
            yield batch

    def step(self, step, epoch, rate, parts, norm, bar, facts=None, seen=()):
        """Note a step; what it is told as arrays, :meth:`settle` reads when the devices went on.

        Args:
            step: the first one is 1.
            parts: arrays (len(names),), their sum over all is the loss.
            norm: of the gradients (1,); not finite: the step was skipped.
            facts: further entries of the record.
            seen: pairs (main logits, masks), for the score.
        """
        self._unread.append((step, epoch, rate, parts, norm, bar, facts or {}, seen))

    def settle(self, ahead=0):
        """Read the losses of all steps but the last ``ahead``; MXNetSegError if one is not finite.

        So the host is never more than ``ahead`` steps ahead of the devices.
        """
        while len(self._unread) > ahead:
            step, epoch, rate, parts, norm, bar, facts, seen = self._unread.popleft()
            parts = np.sum([part.asnumpy().astype(np.float64) for part in parts], axis=0)
            if not math.isfinite(parts.sum()):
                raise diverged(step)
            self._parts.append(parts)
            self._norms.append(float(norm.asscalar()))
            for logits, masks in seen:
                self._score.add(logits, masks)
            self._timed += 1
            self._last = {"step": step, "epoch": epoch + 1, "loss": None, "lr": rate, **facts}
            if step % self._interval == 0:
                loss = np.mean(self._parts, axis=0).sum()
                bar.set_postfix(loss=f"{loss:.3f}", lr=f"{rate:.2g}", left=self._left(step))
                self.flush()

    def flush(self):
        """Write the record of the steps that have none yet."""
        if not self._parts:
            return
        now = time.time()
        parts = self._group.sum(np.mean(self._parts, axis=0))
        self._last["loss"] = float(parts.sum())
        if len(parts) > 1:
            self._last["parts"] = dict(zip(self._names, parts.tolist()))
        if self._score:
            self._last["train_miou"] = self._score.take(self._group)
        norms = [norm for norm in self._norms if math.isfinite(norm)]
        self._last["gradient_norm"] = float(np.mean(norms)) if norms else None
        if self._timed:
            seconds = max(now - self._since, 1e-9)
            self._last["images_per_second"] = round(self._timed * self._batch / seconds, 2)
            self._last["step_seconds"] = round(seconds / self._timed, 4)
            self._last["data_seconds"] = round(self._waited / self._timed, 4)
        self._write(**self._last)
        self._parts, self._norms = [], []
        self._timed, self._waited, self._since = 0, 0.0, now

    def restart(self):
        """Begin anew to measure the speed: what went on until now was no training."""
        self._timed, self._waited, self._since = 0, 0.0, time.time()

    def _left(self, step):
        """The time that is left to the run if it goes on like this, validations included."""
        pace = (time.time() - self._began) / (step - self._first)
        return str(datetime.timedelta(seconds=round(pace * max(self._total - step, 0))))

    def validation(self, step, epoch, result, best):
        """Note the scores of a validation."""
        self.restart()
        if self._group.rank:
            return
        keys = ("miou", "pixel_accuracy", "mean_accuracy", "validation_loss", "seconds")
        scores = {k: result[k] for k in keys}
        scores["iou"] = {entry["name"]: entry["iou"] for entry in result["classes"]}
        self._write(step=step, epoch=epoch + 1, best=best, **scores)
        _say(
            f"epoch {epoch + 1}/{self._epochs}  mIoU {result['miou']:.4f}  pixel accuracy "
            f"{result['pixel_accuracy']:.4f}  best {best:.4f}"
        )

    def pictures(self, step, make, *arguments):
        """Show what ``make(*arguments)`` gives, {name: uint8 (H, W, 3)}, if there is a tracker."""
        pictures = make(*arguments) if self._trackers else {}
        for tracker in self._trackers:
            tracker.pictures(step, pictures)

    def _write(self, **record):
        if self._group.rank:
            return
        try:
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()
        except OSError as error:
            raise files.cannot_write(self._path, error) from None
        for tracker in self._trackers:
            tracker.record(record)

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
