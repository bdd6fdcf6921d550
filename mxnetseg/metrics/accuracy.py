"""mIoU and accuracies over a data set, as one of an evaluation's metrics."""

import math

from ..errors import MXNetSegError
from .confusion import ConfusionMatrix


class Accuracy:
    """mIoU, pixel accuracy, mean accuracy, IoU and accuracy per class: of one confusion matrix.

    A metric has ``update(classes, mask, sample)``, which counts an image and returns what its row
    of per_image.csv says, and ``result()``, the entries of results.json.

    Args:
        description: Description of the data set: names the classes.
    """

    def __init__(self, description):
        self.description = description
        self.matrix = ConfusionMatrix(description.num_classes)

    def update(self, classes, mask, sample):
        """Count an image.

        Args:
            classes, mask: uint8 (H, W): prediction and truth. sample: names the image in errors.
        """
        image = ConfusionMatrix(self.matrix.num_classes)
        try:
            image.update(classes, mask)
        except MXNetSegError as error:
            raise MXNetSegError(f"{sample.name}: {error}") from None
        self.matrix.merge(image)
        return {
            "labelled_pixels": image.pixels,
            "pixel_accuracy": image.pixel_accuracy,
            "miou": image.miou,
        }

    def result(self):
        """The scores; MXNetSegError if no pixel was labelled."""
        matrix = self.matrix
        if not matrix.pixels:
            raise MXNetSegError(
                f"The masks of {self.description.name} hold ignored pixels only: nothing to score."
            )
        return {
            "miou": matrix.miou,
            "miou_over": "classes present in prediction or truth",
            "miou_all_classes": matrix.miou_all,
            "pixel_accuracy": matrix.pixel_accuracy,
            "mean_accuracy": matrix.mean_accuracy,
            "frequency_weighted_iou": matrix.frequency_weighted_iou,
            "classes": [
                {"name": name, "iou": _json(iou), "accuracy": _json(accuracy)}
                for name, iou, accuracy in zip(
                    self.description.classes, matrix.iou, matrix.class_accuracy
                )
            ],
        }


def _json(value):
    return None if math.isnan(value) else float(value)
