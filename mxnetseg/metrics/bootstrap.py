"""How sure mIoU is: an interval over the images of the data set."""

import numpy as np

from .accuracy import count
from .base import Metric, number
from .confusion import divide

LEVEL = 0.95
RESAMPLES = 1000


class Bootstrap(Metric):
    """The 95 % bootstrap interval of mIoU over images.

    A thousand times as many images as there are are drawn from them with replacement, and mIoU over
    the classes that occur among them is computed; the interval holds the middle 95 % of these. The
    draws are the same every time.

    Of every image the classes that occur are kept, with their pixels: right, labelled, predicted.

    Paper: Efron, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 1979.
    """

    name = "bootstrap"

    def __init__(self, description):
        super().__init__(description)
        self.images = {}  # name: int64 (classes that occur, 4): class, right, labelled, found

    def update(self, classes, mask, sample):
        image = count(classes, mask, sample, self.description.num_classes)
        table = np.stack([np.arange(len(image.hits)), image.hits, image.labelled, image.predicted])
        self.images[sample.name] = table[:, (table[2:] > 0).any(axis=0)].T
        return {}

    def result(self):
        low, high = np.nanpercentile(self.resampled(), [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
        return {
            "miou_interval": [number(low), number(high)],
            "miou_interval_is": f"{LEVEL:.0%} bootstrap over images, {RESAMPLES} draws",
        }

    def resampled(self):
        """mIoU of every draw, float64 (RESAMPLES,)."""
        images = len(self.images)
        pixels = np.zeros((3, images, self.description.num_classes))
        for k, (_, table) in enumerate(sorted(self.images.items())):
            pixels[:, k, table[:, 0]] = table[:, 1:].T
        draws = np.random.default_rng(0).multinomial(images, np.full(images, 1 / images), RESAMPLES)
        right, labelled, found = np.matmul(draws.astype(np.float64), pixels)
        iou = divide(right, labelled + found - right)
        occurs = ~np.isnan(iou)
        return divide(np.nansum(iou, axis=1), occurs.sum(axis=1))

    def counts(self):
        return {"images": {name: table.ravel().tolist() for name, table in self.images.items()}}

    def add(self, counts):
        for name, table in counts["images"].items():
            self.images[name] = np.reshape(np.int64(table), (-1, 4))
