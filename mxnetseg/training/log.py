"""What a run tells: log.jsonl, the terminal, Weights & Biases."""

import json
import math
import os
import time

import numpy as np
from tqdm import tqdm

from .. import config as configuration
from ..errors import MXNetSegError, UsageError
from ..files import cannot_write


class Log:
    """log.jsonl always; the terminal and wandb beside it."""

    def __init__(self, out, experiment, step):
        self._interval = experiment.train.log_interval
        self._batch = experiment.train.batch_size
        self._epochs = experiment.train.epochs
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / "config.yaml").write_text(configuration.to_yaml(experiment), encoding="utf-8")
            self._drop_after(out / "log.jsonl", step)
            self._file = (out / "log.jsonl").open("a", encoding="utf-8")
        except OSError as error:
            raise cannot_write(out, error) from None
        self._wandb = _wandb(experiment, out)
        self._losses, self._since = [], time.time()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._file.close()
        if self._wandb:
            self._wandb.finish()

    def step(self, step, epoch, rate, parts, run, bar):
        """Note a step's loss; read the losses of an interval from the device at its end."""
        self._losses.append(parts)
        if step % self._interval:
            return
        values = [sum(part.asscalar() for part in parts) for parts in self._losses]
        mean = float(np.mean(values))
        if not math.isfinite(mean):
            raise MXNetSegError(
                f"The loss is not finite (near step {step}). Lower optim.lr, and check the labels "
                "with `mxnetseg check`."
            )
        now = time.time()
        speed = len(values) * self._batch / max(now - self._since, 1e-9)
        self._losses, self._since = [], now
        bar.set_postfix(loss=f"{mean:.3f}", lr=f"{rate:.2g}")
        self._write(
            step=step, epoch=epoch + 1, loss=mean, lr=rate, images_per_second=round(speed, 2)
        )

    def validation(self, step, epoch, result, best):
        """Note the scores of a validation."""
        keys = ("miou", "pixel_accuracy", "mean_accuracy", "seconds")
        scores = {k: result[k] for k in keys}
        self._write(step=step, epoch=epoch + 1, best=best, **scores)
        self._since = time.time()
        tqdm.write(
            f"epoch {epoch + 1}/{self._epochs}  mIoU {result['miou']:.4f}  pixel accuracy "
            f"{result['pixel_accuracy']:.4f}  best {best:.4f}"
        )

    def _write(self, **record):
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._wandb:
            self._wandb.log(record, step=record["step"])

    @staticmethod
    def _drop_after(path, step):
        """Remove what a run that was killed had noted after its last checkpoint."""
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [
                line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step
            ]
            path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


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
