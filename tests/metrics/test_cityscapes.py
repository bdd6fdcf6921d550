"""Cityscapes' scores beside those of its official package, on the same files."""

import io
import shutil
from contextlib import redirect_stdout

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg import data, metrics
from mxnetseg.data import Sample
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.metrics.cityscapes import CATEGORIES, INSTANCES, Cityscapes

from ..tiny import description


def with_instances(shared, tmp_path):
    """CityscapesMini with instance files: connected areas of the classes that have instances."""
    root = tmp_path / "Cityscapes"
    shutil.copytree(shared / "data" / "CityscapesMini", root)
    for file in root.glob("gtFine/*/*/*_labelIds.png"):
        ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        found = ids.astype(np.uint16)
        for label in [*(v[0] for v in INSTANCES.values()), 29, 30]:
            count, areas = cv2.connectedComponents((ids == label).astype(np.uint8))
            for k in range(1, count):
                if k % 7:  # the others are groups
                    found[areas == k] = label * 1000 + k
        Image.fromarray(found).save(str(file).replace("labelIds", "instanceIds"))
    return root


def predicted(mask, seed):
    """Something like the truth: moved, with areas of other classes and some without an answer."""
    rng = np.random.default_rng(seed)
    moved = np.roll(mask, (6, 9), (0, 1))
    found = np.where(moved == 255, rng.integers(0, 19), moved).astype(np.uint8)
    for k in range(12):
        top, left = rng.integers(0, 900), rng.integers(0, 1900)
        found[top : top + 90, left : left + 140] = 255 if k == 11 else rng.integers(0, 19)
    return found


def official(root, split, predictions):
    """{name: (IoU, iIoU)} as the official package prints them, with three digits."""
    module = pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    args = module.args
    args.JSONOutput, args.quiet, args.colorized, args.bold, args.nocol = False, False, False, "", ""
    truths = sorted(str(p) for p in root.glob(f"gtFine/{split}/*/*_labelIds.png"))
    text = io.StringIO()
    with redirect_stdout(text):
        module.evaluateImgLists(predictions, truths, args)
    printed, averages = {}, []
    for line in text.getvalue().splitlines():
        name, colon, values = line.partition(":")
        if colon and len(values.split()) == 2:
            if name.startswith("Score Average"):
                averages.append(tuple(values.split()))
            else:
                printed.setdefault(name.strip(), []).append(tuple(values.split()))
    return printed, averages


def shown(value):
    return "nan" if value is None else f"{value:.3f}"


def test_equal_to_the_official_package(shared, tmp_path):
    pytest.importorskip("cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling")
    root = with_instances(shared, tmp_path)
    dataset = data.create("cityscapes", "train", root)
    metric, accuracy = Cityscapes.of(dataset), metrics.Accuracy(dataset.info)
    files = []
    for k, sample in enumerate(dataset):
        classes = predicted(sample.mask, k)
        metric.update(classes, sample.mask, sample)
        accuracy.update(classes, sample.mask, sample)
        files.append(str(tmp_path / f"{k}.png"))
        cv2.imwrite(files[-1], cv2.LUT(classes, dataset.info.inverse))
    order = sorted(range(len(dataset)), key=lambda k: dataset.pairs[k].mask)
    printed, averages = official(root, "train", [files[k] for k in order])
    result, usual = metric.result(), accuracy.result()
    for a, b in zip(usual["classes"], result["classes"]):
        assert printed[a["name"]][0] == (shown(a["iou"]), shown(b["iiou"])), a["name"]
    for row in result["categories"]:
        assert printed[row["name"]][-1] == (shown(row["iou"]), shown(row["iiou"])), row["name"]
    assert averages == [
        (shown(usual["miou"]), shown(result["iiou"])),
        (shown(result["category_miou"]), shown(result["category_iiou"])),
    ]
    assert 0 < result["iiou"] < 1 and 0 < result["category_iiou"] < 1


def small(tmp_path, names=None):
    names = names or [n for members in CATEGORIES.values() for n in members]
    file = tmp_path / "x_gtFine_instanceIds.png"
    metric = Cityscapes(description(19, classes=tuple(names)), {"x.png": str(file)})
    instances = np.array([[24, 24001, 24001, 24002], [26000, 26001, 7, 0]], np.uint16)
    cv2.imwrite(str(file), instances)
    person, car, road, rider = (names.index(n) for n in ("person", "car", "road", "rider"))
    mask = np.array([[person, person, person, person], [car, car, road, 255]], np.uint8)
    found = np.array([[person, person, 255, rider], [person, car, road, person]], np.uint8)
    return metric, found, mask, Sample(None, None, "x.png")


def slow_iiou(right, missed, wrong):
    return right / (right + missed + wrong)


def test_weights_of_instances(tmp_path):
    metric, found, mask, sample = small(tmp_path)
    metric.update(found, mask, sample)
    result = metric.result()
    by_name = {row["name"]: row for row in result["classes"] + result["categories"]}
    size = {name: value[1] for name, value in INSTANCES.items()}
    # person: one of two pixels of the first, none of the second; one car pixel is called a person
    person = slow_iiou(size["person"] / 2, size["person"] / 2 + size["person"], 1)
    # the rider is no person, but human; 24 is a group and no instance, but 26000 is one
    human = slow_iiou(size["person"] / 2 + size["person"], size["person"] / 2, 1)
    car = slow_iiou(size["car"], size["car"], 0)
    assert by_name["person"]["iiou"] == pytest.approx(person)
    assert by_name["human"]["iiou"] == pytest.approx(human)
    assert by_name["car"]["iiou"] == by_name["vehicle"]["iiou"] == car
    assert by_name["road"]["iiou"] is None and by_name["flat"]["iou"] == 1
    assert by_name["human"]["iou"] == pytest.approx(3 / 5)
    assert by_name["rider"]["iiou"] == 0


def test_other_order_of_the_classes_and_parts(tmp_path):
    wanted = small(tmp_path)
    wanted[0].update(*wanted[1:])
    names = [n for members in CATEGORIES.values() for n in members]
    metric, *image = small(tmp_path, names[::-1])
    metric.update(*image)
    merged = small(tmp_path, names[::-1])[0]
    merged.add(metric.counts())
    for found in (metric, merged):
        assert found.result()["categories"] == wanted[0].result()["categories"]
        assert found.result()["classes"] == wanted[0].result()["classes"][::-1]


def test_without_instance_files(shared):
    dataset = data.create("cityscapes", "val", shared / "data" / "CityscapesMini")
    metric = Cityscapes.of(dataset)
    sample = dataset[0]
    metric.update(predicted(sample.mask, 0), sample.mask, sample)
    result = metric.result()
    assert result["iiou"] is None and result["category_iiou"] is None
    assert 0 < result["category_miou"] < 1


def test_what_does_not_fit(tmp_path):
    with pytest.raises(UsageError, match="19 classes of Cityscapes"):
        Cityscapes(description(19))
    metric, found, mask, sample = small(tmp_path)
    with pytest.raises(MXNetSegError, match="not as large"):
        metric.update(found[:1], mask[:1], sample)
