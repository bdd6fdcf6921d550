"""Cityscapes' own scores: IoU of categories, and IoU weighted by instances."""

import os

import cv2
import numpy as np

from ..data.content import damaged, read_intact
from ..errors import MXNetSegError, UsageError
from .accuracy import count
from .base import Metric, number
from .confusion import ConfusionMatrix, divide, mean

CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
# classes with instances: label id, mean size of an instance in the training images
INSTANCES = {
    "person": (24, 3462.4756337644),
    "rider": (25, 3930.4788056518),
    "car": (26, 12794.0202738185),
    "truck": (27, 27855.1264367816),
    "bus": (28, 35732.1511111111),
    "train": (31, 67583.7075812274),
    "motorcycle": (32, 6298.7200839748),
    "bicycle": (33, 4672.3249222261),
}
INSTANCE_CATEGORIES = ("human", "vehicle")
FIRST_INSTANCE = 1000  # label id x 1000 + number; what is smaller is no single instance


class Cityscapes(Metric):
    """What the official package (cityscapesscripts, pixel level) reports beside the IoU of classes.

    The IoU of a category takes its classes for one. iIoU weighs the right and the missed pixels of
    every instance by (mean size of the class's instances) / (size of this one), so that a small
    person counts as much as a large one: sum of weighted right ones / (the same + weighted missed
    ones + pixels that are wrongly predicted as the class). It needs ``*_instanceIds.png`` beside
    the masks and is left out where one of them is missing. A prediction of an ignored label, such
    as caravan, counts as no answer.

    Paper: Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016.

    Args:
        description: Description with Cityscapes' 19 classes, in any order.
        instances: {image name: its instance file}, of all images; None: without iIoU.
    """

    name = "cityscapes"

    def __init__(self, description, instances=None):
        super().__init__(description)
        names = [name.lower() for name in description.classes]
        if not self.fits(description):
            raise UsageError(
                f"The metric '{self.name}' needs the 19 classes of Cityscapes, which "
                f"{description.name} does not have: drop it from --metrics."
            )
        self.instances = instances
        self.matrix = ConfusionMatrix(len(names))
        category = {n: c for c, members in enumerate(CATEGORIES.values()) for n in members}
        self.category = np.full(256, len(CATEGORIES), np.uint8)
        self.category[: len(names)] = [category[n] for n in names]
        self.class_of_id = np.full(66, 255, np.uint8)  # of a label id; instance ids have 16 bits
        self.size = np.zeros(256)
        for n, (label_id, size) in INSTANCES.items():
            self.class_of_id[label_id], self.size[names.index(n)] = names.index(n), size
        self.classes = np.zeros((2, len(names)))  # weighted pixels of instances: right, missed
        self.categories = np.zeros((2, len(CATEGORIES)))

    @classmethod
    def fits(cls, description):
        known = [name for members in CATEGORIES.values() for name in members]
        return sorted(name.lower() for name in description.classes) == sorted(known)

    @classmethod
    def of(cls, dataset):
        files = {}
        for pair in getattr(dataset, "pairs", ()):
            folder, name = os.path.split(str(pair.mask))
            for kind in ("labelIds", "labelTrainIds"):
                name = name.replace(kind, "instanceIds")
            files[pair.name] = os.path.join(folder, name)
        there = files and all("instanceIds" in f and os.path.isfile(f) for f in files.values())
        return cls(dataset.info, files if there else None)

    def update(self, classes, mask, sample):
        self.matrix.merge(count(classes, mask, sample, self.matrix.num_classes))
        if self.instances is not None:
            self._count_instances(classes, self._read(sample, mask.shape))
        return {}

    def _read(self, sample, shape):
        path = self.instances[sample.name]
        content = read_intact(path)
        instances = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
        if instances is None:
            raise damaged(path, content)
        if instances.shape != shape:
            raise MXNetSegError(f"{path} is not as large as the mask of {sample.name}.")
        return instances

    def _count_instances(self, classes, instances):
        single = instances > FIRST_INSTANCE
        ids, found = instances[single], classes[single]
        truth = self.class_of_id[ids // 1000]
        right = np.bincount(ids[truth == found], minlength=1 << 16)
        in_category = self.category[truth] == self.category[found]
        right_category = np.bincount(ids[in_category], minlength=1 << 16)
        sizes = np.bincount(ids, minlength=1 << 16)
        for i in np.flatnonzero(sizes):
            k = self.class_of_id[i // 1000]
            if k == 255:
                continue
            weight = self.size[k] / sizes[i]
            for sums, at, hits in (
                (self.classes, k, right[i]),
                (self.categories, self.category[k], right_category[i]),
            ):
                sums[0, at] += hits * weight
                sums[1, at] += (sizes[i] - hits) * weight

    def result(self):
        matrix = self.matrix
        of_class = self.category[: matrix.num_classes]
        member = (of_class == np.arange(len(CATEGORIES))[:, None]).astype(np.int64)
        counts = member @ matrix.counts @ member.T
        hits, labelled = np.diag(counts), member @ matrix.labelled
        wrong = counts.sum(axis=0) - hits
        iou = divide(hits, labelled + wrong)
        with_instances = [name in INSTANCE_CATEGORIES for name in CATEGORIES]
        category_iiou = self._iiou(self.categories, wrong, with_instances)
        countable = self.size[: matrix.num_classes] > 0
        class_iiou = self._iiou(self.classes, matrix.predicted - matrix.hits, countable)
        return {
            "category_miou": number(mean(iou)),
            "iiou": number(mean(class_iiou)),
            "category_iiou": number(mean(category_iiou)),
            "categories": [
                {"name": name, "iou": number(a), "iiou": number(b)}
                for name, a, b in zip(CATEGORIES, iou, category_iiou)
            ],
            "classes": self.per_class(iiou=class_iiou),
        }

    def _iiou(self, sums, wrong, countable):
        if self.instances is None:
            return np.full(len(wrong), np.nan)
        right, missed = sums
        return np.where(countable, divide(right, right + missed + wrong), np.nan)

    def counts(self):
        return {
            "confusion": self.matrix.counts.tolist(),
            "unanswered": self.matrix.unanswered.tolist(),
            "classes": self.classes.tolist(),
            "categories": self.categories.tolist(),
            "instances": self.instances is not None,
        }

    def add(self, counts):
        self.matrix.counts += counts["confusion"]
        self.matrix.unanswered += counts["unanswered"]
        self.classes += counts["classes"]
        self.categories += counts["categories"]
        self.instances = {} if counts["instances"] else None
