"""What the networks of trainings cost: parameters, multiply-adds, and speed on this machine."""

from . import checkpoint, complexity, speed
from .errors import UsageError
from .inference.checkpoints import of_checkpoint
from .runs import best_checkpoint


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
        name = best_checkpoint(run.folder)
        if name is None:
            continue
        backend = of_checkpoint(checkpoint.read(run.folder / name), contexts)
        net = backend.net
        cost = complexity.measure(net, *net.valid_size(*size))
        costs[run.name] = {"parameters": cost.parameters, "macs": cost.macs}
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
