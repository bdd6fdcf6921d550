"""Numbers of a data set: exact, kept, and made anew when a file changes; rare classes."""

import json
import os

import numpy as np
import pytest

from mxnetseg import cli, data
from mxnetseg.data import Loader, presets, randomness, stats
from mxnetseg.errors import UsageError

from .conftest import write_png


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("MXNETSEG_CACHE", str(folder))
    return folder


class Counting:
    """Counts the samples that are read."""

    def __init__(self, dataset):
        self.dataset, self.reads = dataset, 0

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        self.reads += 1
        return self.dataset[index]


def test_numbers(folder):
    dataset = data.create(folder, "train")
    found = stats.measure(dataset, workers=2)
    images = np.stack([s.image for s in dataset]).reshape(-1, 3) / 255
    masks = np.stack([s.mask for s in dataset])
    assert found.mean == pytest.approx(tuple(images.mean(0)), abs=1e-12)
    assert found.std == pytest.approx(tuple(images.std(0)), abs=1e-12)
    expected = [[(mask == c).sum() for c in range(3)] for mask in masks]
    assert found.counts.tolist() == expected
    assert found.ignored == (masks == 255).sum() == 16
    assert found.frequencies.sum() == pytest.approx(1)
    text = found.as_text()
    for name in ("wall", "floor", "tree", "median", "enet", "inverse_log", "4 images"):
        assert name in text
    assert found.as_dict()["classes"][1]["pixels"] == found.pixels[1]


def test_files_are_read_once_and_again_when_one_changes(folder, cache):
    dataset = Counting(data.create(folder, "train"))
    first = stats.measure(dataset)
    again = stats.measure(dataset)
    assert dataset.reads == 4 and np.array_equal(first.counts, again.counts)
    assert again.mean == first.mean and again.ignored == first.ignored
    assert os.listdir(folder) == os.listdir(folder) and len(os.listdir(cache)) == 1
    stats.measure(dataset, cache=False)
    assert dataset.reads == 8
    write_png(folder / "masks/train/p0.png", np.ones((24, 32)))
    assert stats.measure(dataset).counts[0].tolist() == [0, 768, 0] and dataset.reads == 12
    (folder / "classes.yaml").write_text("classes: [wall, floor, tree, car]")
    assert stats.measure(data.create(folder, "train")).counts.shape == (4, 4)


def test_a_damaged_or_forbidden_cache_only_costs_time(folder, cache, monkeypatch):
    dataset = data.create(folder, "train")
    first = stats.measure(dataset)
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:50])
    assert np.array_equal(stats.measure(dataset).counts, first.counts)
    monkeypatch.setenv("MXNETSEG_CACHE", str(folder / "classes.yaml"))  # not a folder
    assert np.array_equal(stats.measure(dataset).counts, first.counts)


def test_drawn_pictures_and_splits_without_masks(folder):
    found = stats.measure(data.create("synthetic", "val", scenes=3, size=(64, 96)))
    assert found.images == 3 and found.pixels.sum() + found.ignored == 3 * 64 * 96
    (folder / "images/test").mkdir()
    write_png(folder / "images/test/a.png", np.zeros((8, 8, 3)))
    with pytest.raises(UsageError, match="has no masks"):
        stats.measure(data.create(folder, "test"))


def test_class_weights_are_their_formulas():
    counts = np.array([[100, 0, 50], [300, 10, 40]])
    n, total = np.array([400, 10, 90]), 500
    median = np.array([400 / 500, 10 / 350, 90 / 500])
    assert stats.class_weights(counts, "median") == pytest.approx(list(median[2] / median))
    assert stats.class_weights(counts, "enet") == pytest.approx(list(1 / np.log(1.02 + n / total)))
    inverse = 1 / np.log(n)
    expected = pytest.approx(list(inverse / inverse.mean()))
    assert stats.class_weights(counts, "inverse_log") == expected
    with pytest.raises(UsageError, match="Did you mean enet"):
        stats.class_weights(counts, "ennet")
    with pytest.raises(UsageError, match="not one labelled pixel"):
        stats.class_weights(0 * counts, "enet")


@pytest.mark.parametrize("rule", stats.RULES)
def test_weights_of_classes_that_never_occur_are_finite(rule):
    weights = stats.class_weights([[100, 0, 5, 1]], rule)
    assert np.isfinite(weights).all() and weights[1] == max(weights) > 0


def test_rare_classes_come_often():
    counts = np.zeros((20, 3), int)
    counts[:, 0] = 1000
    counts[::2, 1] = 500
    counts[7, 2] = 10
    sampler = stats.RareClasses(counts, temperature=0.5)
    order = np.concatenate([sampler.order(randomness.order_rng(0, e)) for e in range(50)])
    assert len(order) == 1000
    assert (order % 20 == 7).mean() > 0.3
    assert len(set((order % 20).tolist())) == 20
    flat = stats.RareClasses(counts, temperature=1e9).chances
    assert flat == pytest.approx([1 / 3] * 3)
    assert stats.RareClasses([[5, 0]]).chances.tolist() == [1, 0]
    few = stats.RareClasses([[5, 0], [1, 1]], min_pixels=3)
    assert few.images[0].tolist() == [0] and few.images[1].tolist() == [1]


def test_repetitions_in_an_epoch_are_transformed_anew(folder):
    dataset = data.create(folder, "train")
    transform = presets.create(base_size=40, crop_size=16)
    counts = np.array([[10, 0], [10, 0], [10, 0], [10, 1]])
    sampler = stats.RareClasses(counts, temperature=0.1)

    def epoch(workers, mode="thread"):
        with Loader(
            dataset, 2, transform, seed=3, sampler=sampler, workers=workers, mode=mode
        ) as loader:
            assert loader.order(1) == Loader(dataset, 2, seed=3, sampler=sampler).order(1)
            return [b for e in range(3) for b in loader.epoch(e)]

    batches = epoch(0)
    for other in (epoch(1), epoch(4), epoch(2, "process")):
        for a, b in zip(batches, other):
            assert a.names == b.names and np.array_equal(a.images, b.images)
    names = sum((b.names for b in batches), [])
    assert len(names) == 12 and names.count(dataset.names[3]) > 6
    crops = [i.tobytes() for b in batches for i in b.images]
    assert len(set(crops)) == len(crops)


def test_command(folder, capsys):
    assert cli.main(["stats", "--data", str(folder)]) == 0
    assert "inverse_log" in capsys.readouterr().out
    assert cli.main(["stats", "--data", str(folder), "--split", "val", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 2 and len(found["classes"]) == 3
    assert cli.main(["stats", "--data", str(folder), "--split", "none"]) == 2
