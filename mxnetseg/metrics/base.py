"""What an evaluation counts: the contract of a metric."""

import math

import numpy as np


class Metric:
    """Something that is measured on a data set.

    An evaluation calls ``update`` for every image and ``result`` at the end. What was counted can
    be written down and added up, so that several processes share an evaluation.

    Attributes:
        name: its key in results.json, section ``counts``.
        needs_scores: whether ``update`` also gets the network's confidence.
        needs_logits: whether ``update`` also gets the network's logits.
        counted: the names of the attributes, numbers or arrays, that are all it counts; where it
            counts anything else, it has ``counts`` and ``add`` of its own.

    Args:
        description: Description of the data set: names the classes.
    """

    name = ""
    needs_scores = False
    needs_logits = False
    counted = ()

    def __init__(self, description):
        self.description = description

    @classmethod
    def fits(cls, description):
        """Whether a data set has the classes that are needed."""
        return True

    @classmethod
    def of(cls, dataset):
        """The metric for a data set."""
        return cls(dataset.info)

    def update(self, classes, mask, sample):
        """Count an image.

        Args:
            classes: uint8 (H, W), the prediction; 255 where it says nothing.
            mask: uint8 (H, W), the truth; 255 is ignored.
            sample: names the image in errors.
            scores: only with ``needs_scores``: float32 (H, W), the largest soft-max.
            windows: only with ``needs_logits``: [Seen], see :mod:`mxnetseg.inference.merge`.

        Returns:
            What the image's row of per_image.csv says: {column: number}.
        """
        raise NotImplementedError

    def result(self):
        """The entries of results.json; ``classes`` is a list of {"name", ...}, in order."""
        raise NotImplementedError

    def counts(self):
        """Everything that was counted, as JSON."""
        if not self.counted:
            raise NotImplementedError
        return {name: np.asarray(getattr(self, name)).tolist() for name in self.counted}

    def add(self, counts):
        """Add what :meth:`counts` of another part of the data set gave."""
        for name in self.counted:
            setattr(self, name, getattr(self, name) + np.asarray(counts[name]))

    def per_class(self, **values):
        """Rows of ``classes``: {"name": ..., key: value of the class, ...}."""
        rows = [{"name": name} for name in self.description.classes]
        for key, column in values.items():
            for row, value in zip(rows, column):
                row[key] = number(value)
        return rows


def number(value):
    """A float for JSON, which has no NaN: None."""
    return None if math.isnan(value) else float(value)
