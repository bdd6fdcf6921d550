"""The boundary maps that training transforms make, on their way to the loss."""

import dataclasses

import numpy as np
import pytest

from mxnetseg import build, config, data
from mxnetseg.boundary import edge_map
from mxnetseg.data import IGNORE, Loader, presets
from mxnetseg.data.augment import Augmentation
from mxnetseg.data.randomness import sample_rng
from mxnetseg.errors import UsageError

from .test_augment import picture


def _same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second))


@pytest.mark.parametrize("preset", sorted(presets.PRESETS))
@pytest.mark.parametrize("source", ["crop", "image"])
def test_image_and_mask_stay_as_they_are_without(preset, source):
    plain = presets.create(preset, crop_size=(90, 110), base_size=200, balanced=0.5)
    assert not plain.boundary
    made = dataclasses.replace(plain, boundary=True, boundary_from=source)
    for index in range(20):
        image, mask = picture(cells=4)
        found = made(image, mask, sample_rng(0, 0, index))
        assert len(found) == 3 and _same(found, plain(image, mask, sample_rng(0, 0, index)))
        assert found[2].dtype == np.uint8 and found[2].shape == (90, 110)
        assert set(np.unique(found[2])) == {0, 1}
        if source == "crop":
            assert np.array_equal(found[2], edge_map(found[1], frame=0))
        assert made(image, None, sample_rng(0, 0, index))[2] is None


@pytest.mark.parametrize("frame", [0, 6])
@pytest.mark.parametrize("rotate", [0, 1.0])
def test_a_map_of_the_whole_label_goes_where_a_label_would(frame, rotate):
    """The map is treated as if it were the mask; outside of the image there is no boundary."""
    options = {"crop_size": (130, 150), "scale": (0.5, 2.0), "rotate": rotate, "blur": 0.0}
    made = Augmentation(boundary=True, boundary_from="image", boundary_frame=frame, **options)
    as_label = Augmentation(fill_label=0, **options)
    image, mask = picture(cells=4)
    mask[20:60, 30:70] = IGNORE
    edges = edge_map(mask, frame)
    padded = 0
    for index in range(20):
        _, out_mask, found = made(image, mask, sample_rng(0, 0, index))
        _, wanted = as_label(image, edges, sample_rng(0, 0, index))
        assert np.array_equal(found, wanted) and found.any()
        own = edge_map(out_mask, frame=0)
        padded += (found != own).mean() > 0.05
    assert padded > 5  # the crop's own map has lines where padding begins


def test_sides_are_swapped_beside_it():
    """Classes that mean a side, 3 and 4, change in a mirror; where they meet does not."""
    mirror = tuple({3: 4, 4: 3}.get(k, k) for k in range(256))
    image = np.zeros((20, 24, 3), np.uint8)
    mask = np.full((20, 24), 3, np.uint8)
    mask[:, 10:] = 4
    for source in ("crop", "image"):
        made = Augmentation(
            (20, 24), scale=(1, 1), flip=1.0, blur=0.0, mirror=mirror, boundary=True,
            boundary_from=source,
        )  # fmt: skip
        _, found, edges = made(image, mask, sample_rng(0, 0, 0))
        assert (found[:, :14] == 3).all() and (found[:, 14:] == 4).all()
        assert edges[:, 12:16].any() and not edges[:, :10].any() and not edges[:, 18:].any()


def test_sanets_preset_makes_them_from_the_whole_label():
    assert presets.create("sanet", "cityscapes").boundary_from == "image"
    assert presets.create("sanet", "cityscapes").boundary_frame == 6
    assert presets.create("sanet", "camvid").boundary_frame == 0
    assert presets.create("mxnetseg", "cityscapes").boundary_from == "crop"
    with pytest.raises(UsageError, match="'crap'. Did you mean crop"):
        presets.create("sanet", boundary_from="crap")
    for wrong in (-1, 1.5, "6"):
        with pytest.raises(UsageError, match="boundary_frame"):
            presets.create("sanet", boundary_frame=wrong)


def test_whether_they_are_made_follows_from_the_network():
    experiment = config.build({"augment.preset": "sanet", "train.crop_size": 32})
    train_set = data.create("synthetic", "train", scenes=2)
    assert not build.transform(experiment, train_set.info).boundary
    assert build.transform(experiment, train_set.info, boundary=True).boundary
    experiment.augment.options["boundary"] = True
    with pytest.raises(UsageError, match="follows from the network"):
        build.transform(experiment, train_set.info)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_carry_them(workers):
    train_set = data.create("synthetic", "train", scenes=2)
    made = presets.create("sanet", crop_size=48, base_size=64, boundary=True)
    with Loader(train_set, 2, made, workers=workers) as loader:
        batch = next(iter(loader))
    with Loader(train_set, 2, dataclasses.replace(made, boundary=False), workers=workers) as loader:
        plain = next(iter(loader))
    assert plain.masks.shape == (2, 48, 48)
    assert batch.masks.shape == (2, 2, 48, 48) and batch.masks.dtype == np.uint8
    assert np.array_equal(batch.masks[:, 0], plain.masks)
    for index, found in enumerate(loader.order(0)[0]):
        sample = train_set[found]
        edges = made(sample.image, sample.mask, sample_rng(0, 0, found))[2]
        assert np.array_equal(batch.masks[index, 1], edges) and edges.any()
