"""Every metric against slow code that follows its definition word for word."""

import json
import math

import cv2
import numpy as np
import pytest

from mxnetseg import metrics
from mxnetseg.data import Sample
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.metrics import bootstrap, boundary_f, boundary_iou

from ..tiny import Images, description

CLASSES = 4


def blobs(seed, size, n=CLASSES, ignored=0.1, absent=()):
    """A label map of some areas, with ignored ones."""
    rng = np.random.default_rng(seed)
    values = [c for c in range(n) if c not in absent]
    small = rng.choice(values, (size[0] // 8 + 2, size[1] // 8 + 2))
    mask = np.kron(small, np.ones((8, 8), int))[3 : 3 + size[0], 5 : 5 + size[1]].astype(np.uint8)
    mask[rng.random(size) < 0.01] = rng.choice(values)
    if ignored:
        mask[: size[0] // 6, : size[1] // 2] = 255
    return mask


def pairs():
    for seed, size in enumerate([(41, 57), (64, 33), (9, 70)]):
        mask = blobs(seed, size, absent=(3,))
        prediction = np.where(
            np.random.default_rng(seed).random(size) < 0.7, mask, blobs(seed + 9, size, ignored=0)
        )
        prediction[mask == 255] = seed % CLASSES
        yield prediction.astype(np.uint8), mask


def measured(name, cases=None, scores=None):
    metric = metrics.METRICS[name](description(CLASSES))
    rows = []
    for k, (prediction, mask) in enumerate(cases if cases is not None else pairs()):
        more = (scores[k],) if scores else ()
        rows.append(metric.update(prediction, mask, Sample(None, None, f"{k}.png"), *more))
    return metric, metric.result(), rows


def column(result, key):
    return [np.nan if row[key] is None else row[key] for row in result["classes"]]


def ratio(a, b):
    return a / b if b else np.nan


# --- overlap ------------------------------------------------------------------------------------


def test_dice_precision_and_recall():
    _, result, _ = measured("dice")
    cases = list(pairs())
    for c in range(CLASSES):
        right = sum(((p == c) & (m == c)).sum() for p, m in cases)
        found = sum(((p == c) & (m != 255)).sum() for p, m in cases)
        labelled = sum((m == c).sum() for _, m in cases)
        row = result["classes"][c]
        assert row["dice"] == pytest.approx(2 * right / (found + labelled))
        assert row["precision"] == pytest.approx(right / found)
        assert row["recall"] == (pytest.approx(right / labelled) if labelled else None)
    assert result["classes"][3]["recall"] is None  # absent from the masks
    assert result["mean_dice"] == pytest.approx(np.nanmean(column(result, "dice")))
    assert result["mean_precision"] == pytest.approx(np.nanmean(column(result, "precision")))


def test_no_answer_is_wrong_where_there_is_a_label():
    mask = np.array([[0, 0, 1, 255]], np.uint8)
    prediction = np.array([[0, 255, 255, 255]], np.uint8)
    _, result, _ = measured("accuracy", [(prediction, mask)])
    assert [row["iou"] for row in result["classes"]] == [0.5, 0, None, None]
    assert [row["recall"] for row in result["classes"]] == [0.5, 0, None, None]
    assert [row["precision"] for row in result["classes"]] == [1, None, None, None]
    assert result["pixel_accuracy"] == pytest.approx(1 / 3)
    bad = np.array([[0, 255, 9, 255]], np.uint8)
    with pytest.raises(MXNetSegError, match=r"0\.png: The prediction holds 9,"):
        measured("accuracy", [(bad, mask)])


# --- boundaries ---------------------------------------------------------------------------------


def slow_band(region, distance):
    """B(M): M without its erosion by ``distance`` steps of 3 x 3; outside is not M."""
    eroded = np.pad(region, 1)
    for _ in range(distance):
        inner = eroded.copy()
        for r in (-1, 0, 1):
            for c in (-1, 0, 1):
                inner &= np.roll(eroded, (r, c), (0, 1))
        inner[0] = inner[-1] = inner[:, 0] = inner[:, -1] = False
        eroded = inner
    return region & ~eroded[1:-1, 1:-1]


@pytest.mark.parametrize("width", [0.02, 0.005, 0.2])
def test_boundary_iou(width, monkeypatch):
    monkeypatch.setattr(boundary_iou, "WIDTH", width)
    _, result, rows = measured("boundary_iou")
    both, either = np.zeros(CLASSES), np.zeros(CLASSES)
    for row, (prediction, mask) in zip(rows, pairs()):
        distance = max(1, round(width * math.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)))
        image = []
        for c in range(CLASSES):
            g = slow_band(mask == c, distance)
            p = slow_band((prediction == c) & (mask != 255), distance)
            both[c] += (g & p).sum()
            either[c] += (g | p).sum()
            image.append(ratio((g & p).sum(), (g | p).sum()))
        assert row["boundary_miou"] == pytest.approx(np.nanmean(image))
    wanted = [ratio(a, b) for a, b in zip(both, either)]
    np.testing.assert_allclose(column(result, "boundary_iou"), wanted)
    assert result["boundary_miou"] == pytest.approx(np.nanmean(wanted))


def test_boundary_iou_has_19_classes_at_cityscapes_size_right():
    """The nearness of all classes at once equals the erosion of each."""
    labels = blobs(3, (1024, 600), 19)
    near = boundary_iou.near_boundary(labels, 46)
    for c in (0, 7, 18):
        region = (labels == c).astype(np.uint8)
        eroded = cv2.erode(
            region, np.ones((3, 3)), iterations=46, borderType=cv2.BORDER_CONSTANT, borderValue=0
        )
        assert ((region - eroded) == (near * region)).all()


def test_a_perfect_prediction_has_perfect_boundaries():
    mask = blobs(5, (50, 60), absent=(3,))
    for name, key in (("boundary_iou", "boundary_miou"), ("boundary_f", "boundary_f")):
        _, result, rows = measured(name, [(np.where(mask == 255, 3, mask).astype(np.uint8), mask)])
        assert result[key] == 1 and rows[0][key] == 1
        assert result["classes"][3][key.replace("_miou", "_iou")] is None


def slow_boundary(labels, c):
    height, width = labels.shape
    points = []
    for y, x in zip(*np.nonzero(labels == c)):
        around = labels[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2]
        if ((around != c) & (around != 255)).any():
            points.append((y, x))
    return np.array(points, float).reshape(-1, 2)


@pytest.mark.parametrize("tolerance", [0.0075, 0.05])
def test_boundary_f(tolerance, monkeypatch):
    monkeypatch.setattr(boundary_f, "TOLERANCE", tolerance)
    _, result, rows = measured("boundary_f")
    per_class = [[] for _ in range(CLASSES)]
    images = []
    for row, (prediction, mask) in zip(rows, pairs()):
        reach = tolerance * math.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)
        prediction = np.where(mask == 255, 255, prediction)
        scores = []
        for c in range(CLASSES):
            truth, found = slow_boundary(mask, c), slow_boundary(prediction, c)
            if not (len(truth) or len(found)):
                continue
            score = 0.0
            if len(truth) and len(found):
                distance = np.sqrt(((truth[:, None] - found[None]) ** 2).sum(axis=2))
                p = (distance.min(axis=0) < reach).mean()
                r = (distance.min(axis=1) < reach).mean()
                score = 2 * p * r / (p + r) if p + r else 0.0
            scores.append(score)
            per_class[c].append(score)
        images.append(np.mean(scores))
        assert row["boundary_f"] == pytest.approx(images[-1])
    assert 0.05 < result["boundary_f"] < 0.999
    assert result["boundary_f"] == pytest.approx(np.mean(images))
    wanted = [np.mean(s) if s else np.nan for s in per_class]
    np.testing.assert_allclose(column(result, "boundary_f"), wanted)


def test_one_class_alone_has_no_boundary():
    flat = np.zeros((20, 30), np.uint8)
    _, result, rows = measured("boundary_f", [(flat, flat)])
    assert result["boundary_f"] is None and np.isnan(rows[0]["boundary_f"])
    holes = flat.copy()
    holes[5:9, 5:9] = 255  # ignored pixels make no boundary
    assert measured("boundary_f", [(flat, holes)])[1]["boundary_f"] is None


# --- calibration and intervals ------------------------------------------------------------------


def test_calibration():
    cases = list(pairs())
    rng = np.random.default_rng(0)
    scores = [rng.uniform(0.25, 1, m.shape).astype(np.float32) for _, m in cases]
    scores[0][20, 20] = 1
    _, result, _ = measured("calibration", cases, scores)
    bins = [[] for _ in range(15)]
    for (prediction, mask), confidence in zip(cases, scores):
        for y, x in zip(*np.nonzero(mask != 255)):
            k = next(k for k in range(15) if confidence[y, x] <= (k + 1) / 15)
            bins[k].append((prediction[y, x] == mask[y, x], float(confidence[y, x])))
    pixels = sum(len(b) for b in bins)
    error = 0
    for found, points in zip(result["reliability"], bins):
        assert found["pixels"] == len(points)
        if not points:
            assert found["accuracy"] is None
            continue
        accuracy, confidence = np.mean(points, axis=0)
        assert found["accuracy"] == pytest.approx(accuracy)
        assert found["confidence"] == pytest.approx(confidence)
        error += len(points) / pixels * abs(accuracy - confidence)
    assert result["expected_calibration_error"] == pytest.approx(error)
    assert result["reliability"][14]["to"] == 1


def test_bootstrap(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
    cases = [*pairs(), *((p[::-1], m) for p, m in pairs())]
    metric, result, _ = measured("bootstrap", cases)
    draws = np.random.default_rng(0).multinomial(6, np.full(6, 1 / 6), 50)
    values = []
    for draw in draws:
        part = [case for case, times in zip(cases, draw) for _ in range(times)]
        values.append(measured("accuracy", part)[1]["miou"])
    np.testing.assert_allclose(metric.resampled(), values)
    np.testing.assert_allclose(result["miou_interval"], np.percentile(values, [2.5, 97.5]))
    low, high = result["miou_interval"]
    assert low < measured("accuracy", cases)[1]["miou"] < high


def test_boundary_distance():
    """Against the distance of every pixel, searched over the whole image."""
    cases = list(pairs())
    _, result, rows = measured("boundary_distance", cases)
    pixels, right = np.zeros((2, CLASSES, 8), int)
    edges = (1, 2, 3, 5, 9, 17, 33, 65)
    for prediction, mask in cases:
        height, width = mask.shape
        for y in range(height):
            for x in range(width):
                label = mask[y, x]
                if label == 255:
                    continue
                others = np.argwhere(mask != label)
                near = np.abs(others - (y, x)).max(axis=1).min() if len(others) else 999
                k = max(k for k in range(8) if near >= edges[k])
                pixels[label, k] += 1
                right[label, k] += prediction[y, x] == label
    assert [row["pixels"] for row in result["boundary_distance"]] == pixels.sum(axis=0).tolist()
    for row, a, b in zip(result["boundary_distance"], right.sum(axis=0), pixels.sum(axis=0)):
        assert row["accuracy"] == (pytest.approx(a / b) if b else None)
    assert result["accuracy_near_boundary"] == pytest.approx(
        right[:, :3].sum() / pixels[:, :3].sum()
    )
    wanted = [ratio(a, b) for a, b in zip(right[:, 3:].sum(axis=1), pixels[:, 3:].sum(axis=1))]
    np.testing.assert_allclose(column(result, "accuracy_of_interior"), wanted)
    assert 0 < rows[0]["accuracy_near_boundary"] < 1
    flat = np.zeros((9, 9), np.uint8)  # without any boundary
    found = measured("boundary_distance", [(flat, flat)])[1]
    assert found["accuracy_near_boundary"] is None and found["accuracy_of_interior"] == 1


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in metrics.METRICS if n != "cityscapes"])
def test_parts_add_up(name):
    cases = list(pairs())
    scores = [np.full(m.shape, 0.3 + 0.2 * k, np.float32) for k, (_, m) in enumerate(cases)]
    kind = metrics.METRICS[name]
    whole, parts = kind(description(CLASSES)), [kind(description(CLASSES)) for _ in range(3)]
    for k, (case, confidence) in enumerate(zip(cases, scores)):
        more = (confidence,) if kind.needs_scores else ()
        for metric in (whole, parts[k % 2]):
            metric.update(*case, Sample(None, None, f"{k}.png"), *more)
    for part in parts[:2]:
        parts[2].add(json.loads(json.dumps(part.counts())))
    wanted, found = whole.result(), parts[2].result()
    if name == "boundary_f":  # a sum of fractions depends on their order
        assert found.pop("boundary_f") == pytest.approx(wanted.pop("boundary_f"))
        np.testing.assert_allclose(column(found, name), column(wanted, name))
    else:
        assert found == wanted


def test_metrics_by_name():
    dataset = Images()
    chosen = metrics.create(["dice", "boundary_iou", "recall"], dataset)
    assert [m.name for m in chosen] == ["accuracy", "boundary_iou"]
    every = [m.name for m in metrics.create(["all"], dataset)]
    assert every == list(dict.fromkeys(k.name for k in metrics.METRICS.values()))[:-1]
    assert "cityscapes" not in every and "calibration" in every
    silent = metrics.create(["all"], dataset, with_scores=False)
    assert [m.name for m in silent] == [name for name in every if name != "calibration"]
    with pytest.raises(UsageError, match="boundary_iou"):
        metrics.create(["boundary-iou"], dataset)
    with pytest.raises(UsageError, match="19 classes"):
        metrics.create(["cityscapes"], dataset)
