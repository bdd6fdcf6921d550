import numpy as np
import pytest

from mxnetseg.errors import MXNetSegError
from mxnetseg.metrics import ConfusionMatrix, confusion


def slow_counts(prediction, mask, n):
    counts = np.zeros((n, n), np.int64)
    for p, m in zip(prediction.ravel(), mask.ravel()):
        if m != 255:
            counts[m, p] += 1
    return counts


def random_maps(rng, n=5, size=(37, 53), absent=(3,)):
    classes = [c for c in range(n) if c not in absent]
    mask = rng.choice([*classes, 255], size).astype(np.uint8)
    prediction = rng.choice(classes, size).astype(np.uint8)
    return prediction, mask


def test_counts_equal_a_slow_count():
    rng = np.random.default_rng(0)
    matrix, total = ConfusionMatrix(5), 0
    for _ in range(3):
        prediction, mask = random_maps(rng)
        image = matrix.update(prediction, mask)
        slow = slow_counts(prediction, mask, 5)
        assert (image == slow).all()
        total = total + slow
    assert (matrix.counts == total).all()


def test_scores_follow_from_counts():
    rng = np.random.default_rng(1)
    prediction, mask = random_maps(rng)
    matrix = ConfusionMatrix(5)
    matrix.update(prediction, mask)
    valid = mask != 255
    ious, accuracies = [], []
    for c in range(5):
        hit = (valid & (mask == c) & (prediction == c)).sum()
        union = (valid & ((mask == c) | (prediction == c))).sum()
        ious.append(hit / union if union else np.nan)
        accuracies.append(hit / (mask == c).sum() if (mask == c).any() else np.nan)
    np.testing.assert_allclose(matrix.iou, ious)
    np.testing.assert_allclose(matrix.class_accuracy, accuracies)
    assert np.isnan(matrix.iou[3])
    assert matrix.miou == pytest.approx(np.nanmean(ious))
    assert matrix.miou_all == pytest.approx(np.nansum(ious) / 5)
    assert matrix.mean_accuracy == pytest.approx(np.nanmean(accuracies))
    assert matrix.pixel_accuracy == pytest.approx((prediction == mask)[valid].mean())
    share = [(mask == c).sum() / valid.sum() for c in range(5)]
    assert matrix.frequency_weighted_iou == pytest.approx(np.nansum(np.multiply(share, ious)))


def test_a_class_that_is_only_predicted_counts_as_zero():
    matrix = ConfusionMatrix(3)
    matrix.update(np.array([[0, 1]], np.uint8), np.array([[0, 0]], np.uint8))
    assert matrix.iou[1] == 0 and np.isnan(matrix.iou[2])
    assert matrix.miou == pytest.approx(0.25)


def test_predictions_under_ignored_pixels_do_not_count():
    matrix = ConfusionMatrix(2)
    matrix.update(np.array([[0, 255]], np.uint8), np.array([[0, 255]], np.uint8))
    assert matrix.pixels == 1 and matrix.miou == 1


def test_only_ignored_pixels_give_no_score():
    matrix = ConfusionMatrix(2)
    matrix.update(np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8))
    assert matrix.pixels == 0
    assert np.isnan([matrix.miou, matrix.pixel_accuracy, matrix.frequency_weighted_iou]).all()


def test_merge():
    rng = np.random.default_rng(2)
    whole, parts = ConfusionMatrix(5), [ConfusionMatrix(5), ConfusionMatrix(5)]
    for part in parts:
        maps = random_maps(rng)
        part.update(*maps)
        whole.update(*maps)
    parts[0].merge(parts[1])
    assert (parts[0].counts == whole.counts).all()
    with pytest.raises(ValueError):
        whole.merge(ConfusionMatrix(4))


@pytest.mark.parametrize("num_classes", [1, 182, 255])
def test_number_of_classes(num_classes):
    rng = np.random.default_rng(3)
    prediction, mask = rng.integers(0, num_classes, (2, 40, 60)).astype(np.uint8)
    matrix = ConfusionMatrix(num_classes)
    matrix.update(prediction, mask)
    assert (matrix.counts == slow_counts(prediction, mask, num_classes)).all()


def test_large_images_are_counted_exactly(monkeypatch):
    monkeypatch.setattr(confusion, "_EXACT", 100)
    rng = np.random.default_rng(4)
    prediction, mask = random_maps(rng, size=(31, 17))
    matrix = ConfusionMatrix(5)
    matrix.update(prediction, mask)
    assert (matrix.counts == slow_counts(prediction, mask, 5)).all()


def test_views_are_counted_as_they_look():
    rng = np.random.default_rng(5)
    prediction, mask = random_maps(rng)
    matrix = ConfusionMatrix(5)
    matrix.update(prediction[::2, ::-1], mask[::2, ::-1])
    assert (matrix.counts == slow_counts(prediction[::2], mask[::2], 5)).all()


def test_wrong_input_is_refused():
    matrix = ConfusionMatrix(3)
    good = np.zeros((2, 2), np.uint8)
    with pytest.raises(MXNetSegError, match="2x3 pixels"):
        matrix.update(np.zeros((3, 2), np.uint8), good)
    with pytest.raises(MXNetSegError, match="mask holds 7"):
        matrix.update(good, np.array([[0, 7], [255, 1]], np.uint8))
    with pytest.raises(MXNetSegError, match="prediction holds 4"):
        matrix.update(np.full((2, 2), 4, np.uint8), good)
    with pytest.raises(TypeError):
        matrix.update(good.astype(np.int64), good)
    assert matrix.pixels == 0
