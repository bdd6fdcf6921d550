"""What the networks of trainings cost: parameters, multiply-adds, and speed on this machine."""

from . import checkpoint, complexity, speed
from .errors import UsageError
from .inference.backend import MXNetBackend

CHECKPOINTS = ("best.params", "last.params")


def measure(runs, size, contexts, bar=None):
    """Read the best network of each run, else the last one, and let them take turns.

    Args:
        runs: list of ``runs.Run``.
        size: (height, width) of the images; each network gets them padded to what it takes.
        contexts: the device that computes.
        bar: a progress bar.

    Returns:
        {name of the run: {"parameters", "macs", "inference_images_per_second"}}: trainable ones
        without auxiliary heads; multiply-adds of one image; from pixels to class map, one image at
        a time, the layers joined where that works. A run without a checkpoint is left out.

    Raises:
        UsageError: no run has a checkpoint.
    """
    costs, contestants = {}, []
    for run in runs:
        saved = next((p for p in (run.folder / n for n in CHECKPOINTS) if p.exists()), None)
        if saved is None:
            continue
        saved = checkpoint.read(saved)
        net, about = checkpoint.network(saved, contexts), saved.description
        cost = complexity.measure(net, *net.valid_size(*size))
        costs[run.name] = {"parameters": cost.parameters, "macs": cost.macs}
        backend = MXNetBackend(net, contexts, about.mean, about.std)
        contestants.append(
            speed.Contestant(run.name, "mxnet", backend.fused, backend, net.in_channels)
        )
    if not contestants:
        raise UsageError("No run has a checkpoint, best.params or last.params, to measure.")
    how = speed.Convention("", warmup=3, repeats=10, stages=("classes",))
    for row in speed.measure(contestants, how, size, bar=bar):
        rate = row["stages"]["classes"]["images_per_second"]
        costs[row["network"]]["inference_images_per_second"] = rate
    return costs
