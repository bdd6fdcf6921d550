"""The validation of a run, shared out over its group."""

from ..errors import UsageError
from ..inference.evaluator import evaluate, run
from ..metrics import Accuracy
from .signals import Interrupted, Until


def validate(backend, dataset, protocol, group, stop, path):
    """The scores of a network on a data set, the same for all workers.

    Args:
        backend, protocol: see :func:`mxnetseg.inference.evaluator.run`.
        group: a Group; each worker takes its share of the images.
        stop, path: Signals and the saved run, for Interrupted.
    """
    if group.size == 1:
        return evaluate(backend, Until(dataset, stop, path), protocol)
    if len(dataset) < group.size:
        raise UsageError(
            f"{group.size} workers cannot share {len(dataset)} images: validate on more, train "
            "with --no-val, or take fewer workers."
        )
    metric, result = _Counts(dataset.info), {}
    try:
        share = Until(Share(dataset, group.rank, group.size), stop, path)
        result = run(backend, share, protocol, [metric])
    except Interrupted:
        pass  # not all may have noticed: the sum tells them
    if group.meet(stop)[0]:
        stop.reacted()
        raise Interrupted(path, stop.number)
    return {**result, **metric.summed(group)}


class Share:
    """Every ``size``-th sample of a data set, from ``rank`` on."""

    def __init__(self, dataset, rank, size):
        self.dataset, self.indices = dataset, range(rank, len(dataset), size)

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[self.indices[index]]


class _Counts(Accuracy):
    """Accuracy that has no result before all counts are summed."""

    def result(self):
        return {}

    def summed(self, group):
        """The scores of all workers' images."""
        self.matrix.counts = group.sum(self.matrix.counts).astype("int64")
        self.matrix.unanswered = group.sum(self.matrix.unanswered).astype("int64")
        return super().result()
