"""Batches: decoded, transformed and stacked by threads or processes.

What a batch holds is a pure function of (seed, epoch, batch number): workers only change the
speed.
"""

import collections
import concurrent.futures
import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from concurrent.futures.process import BrokenProcessPool
from typing import List, NamedTuple, Optional

import cv2
import numpy as np

from ..errors import MXNetSegError, UsageError
from ..registry import unknown
from ..runtime import usable_cores
from .opencv import one_thread
from .randomness import order_rng, sample_rng

GRACE = 10  # seconds that a loader process goes on after SIGTERM


class Batch(NamedTuple):
    """Samples of one size.

    Attributes:
        images: uint8 (N, H, W, 3), RGB.
        masks: uint8 (N, H, W), classes, 255 = ignored; None where the split has no labels.
            (N, 2, H, W) if the transform makes boundary maps: masks, and 1 at boundaries, else 0.
        names: the samples' names.
    """

    images: np.ndarray
    masks: Optional[np.ndarray]
    names: List[str]


def load_sample(dataset, transform, seed, epoch, index):
    """Sample ``index`` of ``dataset`` as it is in ``epoch``: image, mask, name as in a batch.

    An index beyond the data set's length is a repetition: the same picture, transformed anew.

    Raises:
        MXNetSegError: whatever went wrong, with the sample's name.
    """
    place = index % len(dataset)
    try:
        if transform is None:
            image, mask, name = dataset[place]
            return image, mask, name
        rng = functools.partial(sample_rng, seed, epoch, index)
        if hasattr(dataset, "reduced") and hasattr(transform, "shrink"):
            image, mask, name = dataset.reduced(place, lambda h, w: transform.shrink(h, w, rng()))
        else:
            image, mask, name = dataset[place]
        image, mask, *edges = transform(image, mask, rng())
        if edges and mask is not None:
            mask = np.stack([mask, *edges])
        return image, mask, name
    except MXNetSegError:
        raise  # names the file already
    except Exception as error:
        name = dataset.names[place]
        raise MXNetSegError(f"Cannot prepare {name}: {type(error).__name__}: {error}.") from error


def stack(samples):
    """A :class:`Batch` of loaded samples; MXNetSegError if their sizes differ."""
    images, masks, names = zip(*samples)
    for image, name in zip(images, names):
        if image.shape != images[0].shape:
            (h0, w0), (h, w) = images[0].shape[:2], image.shape[:2]
            raise MXNetSegError(
                f"{names[0]} is {w0}x{h0} pixels and {name} is {w}x{h}: they cannot be one batch; "
                "use a crop size, or batch size 1."
            )
    labelled = all(mask is not None for mask in masks)
    return Batch(np.stack(images), np.stack(masks) if labelled else None, list(names))


class Loader:
    """Batches of a data set, epoch after epoch.

    ``for batch in loader`` runs through one epoch; the next ``for`` runs through the next one,
    also when the first was left early. :meth:`epoch` runs through any epoch, from any batch.

    Args:
        dataset: ``len(dataset)``, ``dataset[i] -> Sample``, ``dataset.names``.
        batch_size: images per batch.
        transform: ``transform(image, mask, rng) -> image, mask`` and perhaps a boundary map; None:
            samples as they are.
        seed: of order and transforms, not negative.
        shuffle: a new order each epoch.
        sampler: draws the order instead: ``sampler.order(rng)`` -> sample numbers, as many as
            the data set has (:class:`~mxnetseg.data.stats.RareClasses`).
        part: (number, of how many): load this equal part of every batch, as a worker of a group.
            Batches are numbered and drawn as without it.
        last: an incomplete last batch: ``discard`` or ``keep``.
        workers: number of threads or processes, 0: load in the caller's thread.
            Default: the usable cores, at most 4.
        mode: ``thread`` (decoding and resizing release Python's lock) or ``process``. Processes
            are started afresh ("spawn"), once, at the first batch: the main script needs
            ``if __name__ == "__main__"``.
        start: (epoch, batch) that the first ``for`` starts with; nothing before it is loaded.
        prefetch: batches that are prepared ahead. Default: enough to keep the workers busy.

    Raises:
        UsageError: a bad option, or not even one batch.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        transform=None,
        seed=0,
        shuffle=False,
        last="keep",
        workers=None,
        mode="thread",
        start=(0, 0),
        prefetch=None,
        sampler=None,
        part=(0, 1),
    ):
        for name, value, allowed in (
            ("mode", mode, ("thread", "process")),
            ("last", last, ("discard", "keep")),
        ):
            if value not in allowed:
                raise unknown(f"value of '{name}'", value, allowed)
        if batch_size < 1:
            raise UsageError(f"The batch size {batch_size} must be at least 1.")
        self.dataset, self.batch_size, self.transform = dataset, int(batch_size), transform
        self.seed, self.shuffle, self.last = seed, shuffle, last
        self.workers = min(4, usable_cores()) if workers is None else int(workers)
        if self.workers < 0:
            raise UsageError(f"The number of workers {workers} must not be negative.")
        self.mode, self.sampler, self.part = mode, sampler, part
        ahead = -(-2 * self.workers // self.batch_size) + 1
        self.prefetch = max(1, ahead if prefetch is None else int(prefetch))
        self._next = (int(start[0]), int(start[1]))
        self._processes = None
        order_rng(seed, 0)  # a bad seed is an error here and now
        if len(self) == 0:
            raise UsageError(
                f"The {len(dataset)} images do not fill one batch of {batch_size}; lower the "
                "batch size."
            )

    @property
    def full_batches(self):
        """Batches of the full size per epoch; 1 where the only one is incomplete."""
        return max(1, len(self.dataset) // self.batch_size)

    def __len__(self):
        """Batches per epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (1 if rest and self.last == "keep" else 0)

    def order(self, epoch):
        """The sample indices of an epoch's batches: a list of lists."""
        indices = np.arange(len(self.dataset))
        if self.sampler is not None:
            indices = self.sampler.order(order_rng(self.seed, epoch))
        elif self.shuffle:
            indices = order_rng(self.seed, epoch).permutation(len(self.dataset))
        size = self.batch_size
        return [indices[k * size : (k + 1) * size].tolist() for k in range(len(self))]

    def __iter__(self):
        epoch, batch = self._next
        self._next = (epoch + 1, 0)
        return self.epoch(epoch, batch)

    def epoch(self, epoch, batch=0):
        """Iterate over the batches of ``epoch``, from number ``batch`` on."""
        number, parts = self.part
        share = self.batch_size // parts
        own = slice(number * share, (number + 1) * share)
        plan = self.order(epoch)[batch:]
        if parts > 1:
            plan = [indices[own] for indices in plan]
        if self.workers == 0:
            return self._serial(epoch, plan)
        return self._parallel(epoch, plan)

    def _serial(self, epoch, plan):
        for indices in plan:
            yield stack(
                [load_sample(self.dataset, self.transform, self.seed, epoch, i) for i in indices]
            )

    def _parallel(self, epoch, plan):
        plan, waiting = iter(plan), collections.deque()
        with contextlib.ExitStack() as cleanup:
            if self.mode == "thread":
                # Without a transform it only decodes, which OpenCV does in one thread anyhow: an
                # evaluator keeps its threads.
                if self.transform is not None:
                    cleanup.enter_context(one_thread())
                submit = self._start_threads(cleanup)
            else:
                submit = self._start_processes()
            cleanup.callback(_cancel, waiting)  # runs first: an early end leaves nothing to do
            while True:
                while len(waiting) < self.prefetch:
                    indices = next(plan, None)
                    if indices is None:
                        break
                    waiting.append([submit(epoch, index) for index in indices])
                if not waiting:
                    return
                futures = waiting[0]
                try:
                    samples = [future.result() for future in futures]
                except BrokenProcessPool:
                    self.close()
                    raise MXNetSegError(
                        "A loader process died, probably for want of memory; use fewer workers "
                        "or loader mode 'thread'."
                    ) from None
                waiting.popleft()
                yield stack(samples)

    def _start_threads(self, cleanup):
        pool = concurrent.futures.ThreadPoolExecutor(self.workers, "loader")
        cleanup.callback(pool.shutdown, wait=True)

        def submit(epoch, index):
            return pool.submit(load_sample, self.dataset, self.transform, self.seed, epoch, index)

        return submit

    def _start_processes(self):
        if self._processes is None:
            # Not fork: MXNet's and OpenMP's threads do not survive it.
            self._processes = concurrent.futures.ProcessPoolExecutor(
                self.workers,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=_start_worker,
                initargs=(self.dataset, self.transform, self.seed),
            )

        def submit(epoch, index):
            return self._processes.submit(_work, epoch, index)

        return submit

    def close(self):
        """Stop the processes. Threads end with each iteration."""
        pool, self._processes = self._processes, None
        if pool is not None:
            pool.shutdown(wait=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def _cancel(waiting):
    for futures in waiting:
        for future in futures:
            future.cancel()


_job = None  # in a worker process: what to load from


def _start_worker(*job):
    global _job
    _job = job
    cv2.setNumThreads(1)
    # The main process decides when work ends, also where a scheduler signals every process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_soon)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_soon(*_):
    """Enough time for the main process to get the batch that it waits for."""
    timer = threading.Timer(GRACE, os._exit, (1,))
    timer.daemon = True
    timer.start()


def _end_with_parent():
    """However it ends: killed, it could not tell its processes."""
    multiprocessing.parent_process().join()
    os._exit(1)


def _work(epoch, index):
    return load_sample(*_job, epoch, index)
