"""A share of a data set, so that several processes can work on one."""

from ..errors import UsageError


class Part:
    """Every ``step``-th sample of a data set, from the sample ``start`` on.

    Args:
        dataset: of :func:`~mxnetseg.data.create`. start, step: as in ``dataset[start::step]``.

    Attributes:
        info, split, root, has_masks: of the data set.
        names: of the samples of this part. pairs: their files, where the data set has files.

    Raises:
        UsageError: no sample is left.
    """

    def __init__(self, dataset, start, step):
        self.dataset, self.indices = dataset, range(len(dataset))[start::step]
        if not self.indices:
            raise UsageError(
                f"The split '{dataset.split}' has {len(dataset)} images: none from {start} on."
            )
        self.info, self.split, self.root = dataset.info, dataset.split, dataset.root
        self.has_masks = dataset.has_masks
        self.names = [dataset.names[k] for k in self.indices]
        pairs = getattr(dataset, "pairs", None)
        self.pairs = [pairs[k] for k in self.indices] if pairs else []

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.dataset[self.indices[index]]
