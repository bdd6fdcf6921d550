"""Batches: the same for any number of workers, resumable, and errors that name the file."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg import data
from mxnetseg.data import Cached, Loader, ReducedJpeg, presets
from mxnetseg.errors import MXNetSegError, UsageError

from .conftest import write_png


@pytest.fixture
def dataset(folder):
    for index in range(4, 11):
        write_png(folder / f"images/train/p{index:02}.png", np.full((24, 32, 3), 20 * index))
        write_png(folder / f"masks/train/p{index:02}.png", np.full((24, 32), index % 3))
    return data.create(folder, "train")


TRANSFORM = presets.create(base_size=40, crop_size=24)


def same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b):
        assert x.names == y.names
        assert np.array_equal(x.images, y.images) and np.array_equal(x.masks, y.masks)


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_batches(dataset):
    loader = Loader(dataset, 4, TRANSFORM, shuffle=True, workers=2)
    batches = list(loader)
    assert len(batches) == len(loader) == 3
    images, masks, names = batches[0]
    assert images.shape == (4, 24, 24, 3) and masks.shape == (4, 24, 24) and len(names) == 4
    assert images.dtype == masks.dtype == np.uint8
    assert len(batches[-1].names) == 3
    assert sorted(sum((b.names for b in batches), [])) == dataset.names
    discard = Loader(dataset, 4, TRANSFORM, last="discard", workers=0)
    assert len(discard) == len(list(discard)) == 2


@pytest.mark.parametrize(
    "workers, mode", [(1, "thread"), (2, "thread"), (4, "thread"), (1, "process"), (2, "process")]
)
def test_workers_do_not_change_batches(dataset, workers, mode):
    alone = Loader(dataset, 3, TRANSFORM, seed=5, shuffle=True, workers=0)
    with Loader(dataset, 3, TRANSFORM, seed=5, shuffle=True, workers=workers, mode=mode) as loader:
        for _ in range(2):
            same(list(alone), list(loader))
    assert not threads()


def test_order_is_a_pure_function_of_seed_and_epoch(dataset):
    loader = Loader(dataset, 2, seed=1, shuffle=True, workers=0)
    other = Loader(dataset, 2, seed=2, shuffle=True, workers=0)
    assert loader.order(0) != loader.order(1) != other.order(1)
    assert loader.order(7) == Loader(dataset, 2, seed=1, shuffle=True, workers=3).order(7)
    assert sum(Loader(dataset, 2, workers=0).order(3), []) == list(range(11))


def test_epochs_differ_and_continue(dataset):
    loader = Loader(dataset, 3, TRANSFORM, shuffle=True, workers=2)
    first, second = list(loader), list(loader)
    assert first[0].names != second[0].names
    same(second, list(loader.epoch(1)))
    # The same image is not transformed alike in two epochs.
    one = {n: i for b in first for n, i in zip(b.names, b.images)}
    two = {n: i for b in second for n, i in zip(b.names, b.images)}
    assert any(not np.array_equal(one[n], two[n]) for n in one)


def whether_mxnet_is_loaded(image, mask, rng):
    return np.full_like(image, "mxnet" in sys.modules), mask


def test_loader_processes_do_without_mxnet(dataset):
    import mxnet  # noqa: F401  this process has it

    with Loader(dataset, 4, whether_mxnet_is_loaded, workers=1, mode="process") as loader:
        assert not next(iter(loader)).images.any()


class Counting:
    """Notes which samples are loaded."""

    def __init__(self, dataset):
        self.dataset, self.names, self.loaded = dataset, dataset.names, []

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        self.loaded.append(index)
        return self.dataset[index]


def test_start_in_the_middle_of_an_epoch(dataset):
    whole = Loader(dataset, 3, TRANSFORM, shuffle=True, workers=0)
    counting = Counting(dataset)
    resumed = Loader(counting, 3, TRANSFORM, shuffle=True, workers=2, start=(2, 2))
    same(list(whole.epoch(2))[2:], list(resumed))
    assert sorted(counting.loaded) == sorted(sum(whole.order(2)[2:], []))  # nothing before
    same(list(whole.epoch(3)), list(resumed))


def test_prefetch_is_bounded(dataset):
    counting = Counting(dataset)
    iterator = iter(Loader(counting, 1, workers=2, prefetch=3))
    next(iterator)
    assert len(counting.loaded) <= 4
    iterator.close()


def test_leaving_early_stops_the_workers(dataset):
    before = cv2.getNumThreads()
    loader = Loader(dataset, 1, TRANSFORM, workers=3, prefetch=8)
    for _ in loader:
        assert threads() and cv2.getNumThreads() == 1
        break
    assert not threads()
    assert cv2.getNumThreads() == before
    assert len(list(loader)) == 11  # the next epoch


def test_cv2_threads_with_two_loaders_at_once(dataset):
    before = cv2.getNumThreads()
    one, two = (iter(Loader(dataset, 1, TRANSFORM, workers=1)) for _ in range(2))
    next(one), next(two)
    one.close()
    assert cv2.getNumThreads() == 1
    two.close()
    assert cv2.getNumThreads() == before
    plain = iter(Loader(dataset, 1, workers=1))  # an evaluator's: only decodes
    next(plain)
    assert cv2.getNumThreads() == before
    plain.close()


@pytest.mark.parametrize("workers, mode", [(0, "thread"), (2, "thread"), (2, "process")])
def test_errors_name_the_file(dataset, workers, mode):
    path = Path(dataset.pairs[5].image)
    path.write_bytes(path.read_bytes()[:-20])
    with Loader(dataset, 2, TRANSFORM, workers=workers, mode=mode) as loader:
        iterator = iter(loader)
        assert len(next(iterator).names) == len(next(iterator).names) == 2
        with pytest.raises(data.DataError, match=f"{path.name} is truncated"):
            next(iterator)
    assert not threads()


class Slow:
    """A transform that takes long enough to be disturbed."""

    def __call__(self, image, mask, rng):
        time.sleep(0.2)
        return image, mask


def test_a_signal_to_all_processes_does_not_cost_a_batch(dataset):
    """A scheduler signals all; the main process wants its step done before it saves."""
    with Loader(dataset, 2, Slow(), workers=2, mode="process", prefetch=1) as loader:
        iterator = iter(loader)
        next(iterator)
        for worker in list(loader._processes._processes):
            os.kill(worker, signal.SIGTERM)
            os.kill(worker, signal.SIGINT)
        assert len(next(iterator).names) == 2


SCRIPT = """
import sys, time
from mxnetseg import data

if __name__ == "__main__":
    loader = data.Loader(data.create(sys.argv[1], "train"), 1, workers=2, mode="process")
    for epoch in range(10**6):
        for batch in loader:
            if epoch == 0:
                print(*loader._processes._processes, flush=True)
            time.sleep(0.01)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_their_parent(dataset, tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(dataset.root)], stdout=subprocess.PIPE, text=True
    )
    workers = parent.stdout.readline().split()
    assert len(workers) == 2
    parent.send_signal(number)
    try:
        parent.communicate(timeout=30)  # until nobody holds the other end of the pipe any more
    except subprocess.TimeoutExpired:
        for worker in workers:
            os.kill(int(worker), signal.SIGKILL)
        raise


@pytest.mark.parametrize("workers, mode", [(0, "thread"), (2, "thread"), (2, "process")])
@pytest.mark.parametrize("kind", ["image", "mask"])
@pytest.mark.parametrize("read", ["plain", "on disk", "reduced"])
def test_a_file_that_vanishes_is_named(dataset, tmp_path, workers, mode, kind, read):
    wrapped = {
        "plain": dataset,
        "on disk": Cached(dataset, folder=tmp_path / "cache"),
        "reduced": ReducedJpeg(dataset),
    }[read]
    path = getattr(dataset.pairs[7], kind)
    with Loader(wrapped, 2, TRANSFORM, workers=workers, mode=mode) as loader:
        assert len(list(loader)) == 6
        os.unlink(path)
        with pytest.raises(data.DataError, match=f"{path} does not exist; restore it"):
            list(loader)


def broken(image, mask, rng):
    raise ZeroDivisionError("by hand")


@pytest.mark.parametrize("workers, mode", [(0, "thread"), (1, "thread"), (1, "process")])
def test_other_exceptions_name_the_file(dataset, workers, mode):
    with Loader(dataset, 2, broken, workers=workers, mode=mode) as loader, pytest.raises(
        MXNetSegError, match="prepare images/train/p0.*ZeroDivisionError: by hand"
    ):
        next(iter(loader))


def test_different_sizes_need_a_crop(dataset, folder):
    write_png(folder / "images/train/p0.png", np.zeros((20, 32, 3)))
    write_png(folder / "masks/train/p0.png", np.zeros((20, 32)))
    with pytest.raises(MXNetSegError, match="p0.png is 32x20 pixels .* use a crop size"):
        list(Loader(dataset, 11, workers=0))
    assert len(list(Loader(dataset, 1, workers=1))) == 11


def test_split_without_masks(folder):
    write_png(folder / "images/test/q.png", np.zeros((24, 32, 3)))
    for transform in (None, TRANSFORM):
        assert (
            next(iter(Loader(data.create(folder, "test"), 1, transform, workers=1))).masks is None
        )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"batch_size": 0}, "at least 1"),
        ({"batch_size": 12, "last": "discard"}, "do not fill one batch of 12"),
        ({"mode": "threads"}, "Did you mean thread"),
        ({"last": "drop"}, "Unknown value of 'last'"),
        ({"workers": -1}, "must not be negative"),
        ({"seed": -1}, "must not be negative"),
    ],
)
def test_wrong_options(dataset, options, message):
    with pytest.raises(UsageError, match=message):
        Loader(dataset, **{"batch_size": 2, **options})
