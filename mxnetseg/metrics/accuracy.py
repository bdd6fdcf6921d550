"""mIoU and what else follows from one confusion matrix, as one of an evaluation's metrics."""

from ..errors import MXNetSegError
from .base import Metric, number
from .confusion import ConfusionMatrix


class Accuracy(Metric):
    """Overlap of prediction and truth over the data set, all of one confusion matrix.

    mIoU, pixel accuracy, mean accuracy, frequency-weighted IoU, mean Dice and mean precision; per
    class IoU, accuracy (which is its recall), Dice, precision and recall.
    """

    name = "accuracy"

    def __init__(self, description):
        super().__init__(description)
        self.matrix = ConfusionMatrix(description.num_classes)

    def update(self, classes, mask, sample):
        image = count(classes, mask, sample, self.matrix.num_classes)
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
            "mean_dice": number(matrix.mean_dice),
            "mean_precision": number(matrix.mean_precision),
            "classes": self.per_class(
                iou=matrix.iou,
                accuracy=matrix.class_accuracy,
                dice=matrix.dice,
                precision=matrix.precision,
                recall=matrix.class_accuracy,
            ),
        }

    def counts(self):
        return {
            "confusion": self.matrix.counts.tolist(),
            "unanswered": self.matrix.unanswered.tolist(),
        }

    def add(self, counts):
        self.matrix.counts += counts["confusion"]
        self.matrix.unanswered += counts["unanswered"]


def count(classes, mask, sample, num_classes):
    """The ConfusionMatrix of one image; errors name the image."""
    image = ConfusionMatrix(num_classes)
    try:
        image.update(classes, mask)
    except MXNetSegError as error:
        raise MXNetSegError(f"{sample.name}: {error}") from None
    return image
