"""Drawn street scenes."""

import pickle

import numpy as np
import pytest

from mxnetseg import data
from mxnetseg.errors import UsageError


def test_a_scene_is_a_pure_function():
    ds = data.create("synthetic", "train", size=(120, 160))
    assert len(ds) == 512 and len(data.create("synthetic", "val")) == 64
    image, mask, name = ds[5]
    assert name == "train/000005" and ds.names[5] == name
    assert image.shape == (120, 160, 3) and mask.shape == (120, 160)
    assert image.dtype == mask.dtype == np.uint8
    ds[0]
    for again in (ds[5], pickle.loads(pickle.dumps(ds))[5]):
        assert np.array_equal(again.image, image) and np.array_equal(again.mask, mask)
    for other in (
        ds[6],
        data.create("synthetic", "val", size=(120, 160))[5],
        data.create("synthetic", "train", size=(120, 160), seed=1)[5],
    ):
        assert not np.array_equal(other.mask, mask)
    more = data.create("synthetic", "train", size=(120, 160), scenes=7)
    assert len(list(more)) == 7 and np.array_equal(more[5].mask, mask)


def test_all_classes_occur():
    ds = data.create("synthetic", "val")
    assert ds.info.num_classes >= 8
    pixels = sum(np.bincount(ds[i].mask.ravel(), minlength=256) for i in range(24))
    assert (pixels[: ds.info.num_classes] > 0.003 * pixels.sum()).all()
    assert 0 < pixels[255] < 0.05 * pixels.sum()
    assert pixels[ds.info.num_classes : 255].sum() == 0


def test_colour_alone_does_not_tell_the_class():
    """A look-up of the best class per colour, on the very scenes it was made from."""
    ds = data.create("synthetic", "train")
    counts = np.zeros((16**3, ds.info.num_classes))
    for index in range(24):
        image, mask, _ = ds[index]
        cell = (image // 16).astype(int) @ [256, 16, 1]
        valid = mask != 255
        np.add.at(counts, (cell[valid], mask[valid]), 1)
    best = counts.argmax(1)
    hits = counts[np.arange(len(counts)), best]
    predicted = np.bincount(best, counts.sum(1), ds.info.num_classes)
    correct = np.bincount(best, hits, ds.info.num_classes)
    iou = correct / (counts.sum(0) + predicted - correct)
    assert iou.mean() < 0.42


@pytest.mark.parametrize("size", [(32, 32), (97, 413), (300, 40), (512, 1024), (1100, 1200)])
def test_any_size(size):
    image, mask, _ = data.create("synthetic", "test", size=size)[0]
    assert image.shape == (*size, 3) and mask.shape == size
    assert len(np.unique(mask)) >= 5


def test_wrong_options():
    with pytest.raises(UsageError, match="at least 32"):
        data.create("synthetic", "train", size=(8, 300))
    with pytest.raises(UsageError, match="at least 32"):
        data.create("synthetic", "train", size="big")
    with pytest.raises(UsageError, match="Did you mean scenes"):
        data.create("synthetic", "train", scene=3)
    with pytest.raises(UsageError, match="Did you mean train"):
        data.create("synthetic", "trainn")
    with pytest.raises(UsageError, match="at least 1"):
        data.create("synthetic", "train", scenes=0)
