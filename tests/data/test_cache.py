"""Decoded samples that are kept: the same numbers, within the budget, never stale."""

import pickle
import threading

import cv2
import numpy as np
import pytest

from mxnetseg import data
from mxnetseg.data import Cached, Loader, ReducedJpeg, presets
from mxnetseg.errors import MXNetSegError, UsageError

from .conftest import write_png
from .test_stats import Counting

SAMPLE = 24 * 32 * 4  # bytes


def equal(a, b):
    return a.name == b.name and all(np.array_equal(x, y) for x, y in zip(a[:2], b[:2]))


def test_memory_keeps_what_fits(folder):
    plain = data.create(folder, "train")
    counting = Counting(plain)
    cached = Cached(counting, memory=2 * SAMPLE)
    assert len(cached) == 4 and cached.names == plain.names and cached.info is plain.info
    for _ in range(3):
        assert all(equal(cached[i], plain[i]) for i in range(4))
    assert counting.reads == 2 + 3 * 2
    with pytest.raises(ValueError, match="read-only"):
        cached[0].image[0] = 0
    copy = pickle.loads(pickle.dumps(Cached(plain, memory=SAMPLE)))
    assert equal(copy[1], plain[1])


def test_disk_is_read_instead_of_the_images(folder, tmp_path):
    plain = data.create(folder, "train")
    counting = Counting(plain)
    kept = tmp_path / "kept"
    for _ in range(2):
        cached = Cached(counting, folder=kept)
        assert all(equal(cached[i], plain[i]) for i in range(4))
    assert counting.reads == 4
    assert not list(kept.rglob("*.part")) and len(list(kept.rglob("*.npy"))) == 8
    # A changed file is read again, and so is a damaged copy.
    write_png(folder / "masks/train/p1.png", np.full((24, 32), 2))
    assert Cached(counting, folder=kept)[1].mask.min() == 2 and counting.reads == 5
    for path in kept.rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:30])
    assert equal(Cached(counting, folder=kept)[0], plain[0]) and counting.reads == 6
    assert equal(Cached(counting, folder=kept)[0], plain[0]) and counting.reads == 6


@pytest.mark.parametrize("mode", ["thread", "process"])
@pytest.mark.parametrize("where", ["memory", "folder"])
def test_batches_are_the_same(folder, tmp_path, mode, where):
    plain = data.create(folder, "train")
    for index in range(4):  # large enough that crops are windows
        write_png(
            folder / f"images/train/p{index}.png",
            np.random.default_rng(index).integers(0, 255, (60, 80, 3)),
        )
        write_png(folder / f"masks/train/p{index}.png", np.full((60, 80), index % 3))
    options = {"memory": 1 << 20} if where == "memory" else {"folder": tmp_path / "kept"}
    for preset in presets.PRESETS:
        base = {"base_size": 80} if preset in ("mxnetseg", "sanet") else {}
        transform = presets.create(preset, crop_size=30, **base)
        with Loader(plain, 2, transform, workers=0) as a, Loader(
            Cached(plain, **options), 2, transform, workers=2, mode=mode
        ) as b:
            for epoch in range(2):
                for x, y in zip(a.epoch(epoch), b.epoch(epoch)):
                    assert np.array_equal(x.images, y.images) and np.array_equal(x.masks, y.masks)
        if mode == "process":
            break


def test_many_threads(folder):
    plain = data.create(folder, "train")
    cached = Cached(plain, memory=3 * SAMPLE)
    wrong = []

    def read():
        for index in [0, 1, 2, 3] * 20:
            if not equal(cached[index], plain[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and cached._used == 3 * SAMPLE


def test_wrong_use(folder, tmp_path):
    with pytest.raises(UsageError, match="drawn"):
        Cached(data.create("synthetic", "train"), folder=tmp_path)
    with pytest.raises(UsageError, match="negative"):
        Cached(data.create(folder, "train"), memory=-1)
    with pytest.raises(MXNetSegError, match="data.cache_folder"):
        Cached(data.create(folder, "train"), folder=folder / "classes.yaml")[0]


@pytest.fixture
def photos(folder):
    """JPEG images of an odd size, one that is a PNG by its content, smooth enough to compare."""
    street = data.create("synthetic", "train", size=(241, 323), scenes=1)[0]
    for path in [*folder.glob("images/train/*"), *folder.glob("masks/train/*")]:
        path.unlink()
    (folder / "classes.yaml").write_text(f"classes: {list(map(str, range(11)))}")
    for name in ("a.jpg", "b.jpeg"):
        cv2.imwrite(str(folder / "images/train" / name), street.image[..., ::-1])
    png = cv2.imencode(".png", street.image[..., ::-1])[1].tobytes()
    (folder / "images/train/c.jpg").write_bytes(png)
    for stem in "abc":
        cv2.imwrite(str(folder / f"masks/train/{stem}.png"), street.mask)
    return folder


def test_jpeg_is_decoded_as_small_as_the_scale_allows(photos):
    dataset = data.create(photos, "train")
    reduced = ReducedJpeg(dataset)
    assert len(reduced) == 3 and equal(reduced[0], dataset[0])
    for shrink, factor in ((0.5, 1), (1.99, 1), (2, 2), (3.9, 2), (4.2, 4), (100, 8)):
        for index in range(2):
            sample = reduced.reduced(index, lambda h, w: shrink)  # noqa: B023
            assert sample.image.shape == (-(-241 // factor), -(-323 // factor), 3)
            assert np.array_equal(sample.mask, dataset[index].mask)
        assert reduced.reduced(2, lambda h, w: shrink).image.shape == (241, 323, 3)  # noqa: B023
    for preset, options in (("semseg", {"scale": (0.1, 0.6)}), ("pmsdsen", {"scale": (0.1, 0.6)})):
        transform = presets.create(preset, crop_size=(90, 110), **options)
        with Loader(dataset, 3, transform, workers=0) as a, Loader(
            reduced, 3, transform, workers=2
        ) as b:
            for epoch in range(4):
                ((x, mask, _),), ((y, same, _),) = list(a.epoch(epoch)), list(b.epoch(epoch))
                assert np.abs(x.astype(int) - y).mean() < 8
                assert (mask == same).mean() > 0.95


def test_reduced_decoding_finds_damage(photos):
    path = photos / "images/train/a.jpg"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    reduced = ReducedJpeg(data.create(photos, "train"))
    with pytest.raises(data.DataError, match="truncated"):
        reduced.reduced(0, lambda h, w: 8)
    cv2.imwrite(str(path), np.zeros((300, 323, 3), np.uint8))
    with pytest.raises(data.DataError, match="323x241 pixels, but its image"):
        reduced.reduced(0, lambda h, w: 8)
