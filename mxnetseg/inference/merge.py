"""The class map of an image: windows, mirror images and scales through a backend, and merged."""

import math
from typing import NamedTuple

import cv2
import numpy as np

from ..data.opencv import by_channels
from ..errors import MXNetSegError, UsageError
from ..resample import Resize, interpolation, parallel, strips
from .logits import argmax, argmax_into, logits_of, read

BATCH_PIXELS = 2_400_000  # of the windows that go through the network together
EXP_LIMIT = 80.0  # exp of it, summed over thousands of windows, still is a float32
EXP_ROOM = 40.0  # kept free below the limit when the offset is raised


def segment(backend, image, protocol, size=None, context=0):
    """The class map of an image, uint8 (H, W): see :func:`classify`."""
    return classify(backend, image, protocol, size, context)[0]


def classify(backend, image, protocol, size=None, context=0, confidence=False):
    """The class map of an image and, if asked for, how sure it is.

    Args:
        backend: see :mod:`~mxnetseg.inference.backend`.
        image: uint8 (H, W, 3), RGB.
        size: (H, W) of the class map; by default the image's. Scores are resized, not classes.
        context: which of the backend's devices.
        confidence: whether to compute it.

    Returns:
        uint8 (H, W), the classes; and float32 (H, W), the share of the largest score in the sum of
        all, which for one pass is the largest soft-max; or None.

    Raises:
        UsageError: the network cannot take inputs of the protocol's size.
        MXNetSegError: the network's scores are not finite.
    """
    size = tuple(size or image.shape[:2])
    if protocol.mode == "slide" and protocol.crop_size is None:
        raise UsageError("Mode slide needs the size of the windows: set eval.crop_size.")
    merger = _Merger(backend, protocol, size, context, confidence)
    for number, scale in enumerate(protocol.scales, 1):
        scaled = resize_image(image, protocol.scaled_size(*image.shape[:2], scale))
        rows, columns, _ = protocol.plan(*scaled.shape[:2])
        if len(protocol.scales) == len(rows) == len(columns) == 1 and not protocol.flip:
            merger.plain(scaled)
        else:
            merger.add(scaled, last=number == len(protocol.scales))
    return merger.classes, merger.confidence


def resize_image(image, size):
    """A uint8 image at (height, width): linear, by areas when it shrinks much."""
    if image.shape[:2] == tuple(size):
        return image
    shrink = max(n / m for n, m in zip(image.shape[:2], size))
    method = cv2.INTER_AREA if shrink >= 1.3 else cv2.INTER_LINEAR
    return by_channels(
        lambda part: cv2.resize(part, (size[1], size[0]), interpolation=method), image
    )


class _Window(NamedTuple):
    left: int
    right: int
    logits: list  # of Logits: the window, and its mirror image if there is one


class _WindowRow(NamedTuple):
    top: int
    bottom: int
    windows: list


class _Merger:
    """The scores of one image, summed over windows, mirror images and scales.

    Only windows' logits at the network's resolution are kept, and only those of the rows of windows
    that overlap. Scores are made from them in strips: enlarged to the scaled image, turned into
    probabilities, averaged over the windows, resized to the image and added to the sum there. At
    the last scale the arg-max follows at once; with one scale no sum is ever stored.
    """

    def __init__(self, backend, protocol, size, context, confidence):
        self.backend, self.protocol, self.context = backend, protocol, context
        self.size = size
        self.total = None  # float32 (C, H, W), where there are several scales
        self.offset = 0.0  # of the exponents of "exp"
        self.classes = np.empty(size, np.uint8)
        self.confidence = np.empty(size, np.float32) if confidence else None

    def plain(self, image):
        """The class map if there is just one window: the arg-max needs no probabilities."""
        size = image.shape[:2]
        padded = self.protocol.plan(*size)[2]
        result = self.backend(image[None], padded, self.context)
        target = None if size == self.size else self.size
        padded = self.backend.padded_size(*padded)
        align = self.backend.align_corners
        logits = logits_of(read(result)[0], padded, size, align, target=target)
        self.classes = argmax(logits, self.confidence)

    def add(self, image, last):
        """Add the scores of the image at one scale; ``last`` finishes the class map."""
        height, width = image.shape[:2]
        rows, columns, _ = self.protocol.plan(height, width)
        to_image = Resize(*(interpolation(n, m) for n, m in zip((height, width), self.size)))
        share = None  # of a window in the mean at a pixel
        if len(rows) > 1 or len(columns) > 1:
            share = 1 / np.outer(_cover(rows, height), _cover(columns, width)).astype(np.float32)
        needs = np.maximum.accumulate(to_image.rows.last)  # source rows for the first t outputs
        active, done = [], 0
        for number, row in enumerate(self._window_rows(image)):
            active.append(row)
            complete = rows[number + 1][0] if number + 1 < len(rows) else height
            ready = int(np.searchsorted(needs, complete, side="right"))
            if ready > done:
                classes = active[0].windows[0].logits[0].values.shape[0]
                if self.total is None and not (last and len(self.protocol.scales) == 1):
                    self.total = np.zeros((classes, *self.size), np.float32)
                density = max(1.0, height / self.size[0]) * max(width, self.size[1])
                ranges = strips(ready - done, int(classes * density))
                work = _Strip(self, active, to_image, share, last)
                parallel(work, [(done + a, done + b) for a, b in ranges])
                done = ready
            if done < self.size[0]:
                first = int(to_image.rows.first[done:].min())
                active = [r for r in active if r.bottom > first]

    def _window_rows(self, image):
        """Rows of windows, top to bottom; the device works ahead by one row."""
        rows, columns, crop = self.protocol.plan(*image.shape[:2])
        pending = None
        for row in rows:
            started = self._start(image, row, columns, crop)
            if pending:
                yield self._finish(*pending)
            pending = row, columns, crop, started
        yield self._finish(*pending)

    def _start(self, image, row, columns, crop):
        """Start the network on a row of windows; logits come in batches, mirror images behind."""
        windows = []
        for left, right in columns:
            window = self._fill(image[row[0] : row[1], left:right], crop)
            windows += [window, window[:, ::-1]] if self.protocol.flip else [window]
        batch = max(1, BATCH_PIXELS // (crop[0] * crop[1]))
        return [
            self.backend(np.stack(windows[i : i + batch]), crop, self.context)
            for i in range(0, len(windows), batch)
        ]

    def _fill(self, window, crop):
        """MXNetSeg's windows are filled with black; the others with the mean, on the device."""
        if self.protocol.mode == "whole" or self.protocol.windows == "shift":
            return window
        down, right = crop[0] - window.shape[0], crop[1] - window.shape[1]
        return cv2.copyMakeBorder(window, 0, down, 0, right, cv2.BORDER_CONSTANT)

    def _finish(self, row, columns, crop, results):
        """Wait for a row of windows: a _WindowRow."""
        values = [v for result in results for v in read(result)]
        padded = self.backend.padded_size(*crop)
        align = self.backend.align_corners
        filled = self.protocol.mode == "slide" and self.protocol.windows == "pad"
        windows = []
        for left, right in columns:
            size = row[1] - row[0], right - left
            logits = [logits_of(values.pop(0), padded, size, align)]
            if self.protocol.flip:
                mirrored = crop[1] if filled else size[1]
                logits.append(logits_of(values.pop(0), padded, size, align, mirrored))
            windows.append(_Window(left, right, logits))
        if self.protocol.merge == "exp":
            self._make_room(windows)
        return _WindowRow(row[0], row[1], windows)

    def _make_room(self, windows):
        """Divide all scores by a common number if the next ones would overflow."""
        largest = max(sum(float(v.values.max()) for v in w.logits) for w in windows)
        if largest - self.offset > EXP_LIMIT:
            offset = largest - EXP_ROOM
            if self.total is not None:
                self.total *= np.float32(math.exp(self.offset - offset))
            self.offset = offset

    def scores(self, window, start, stop):
        """Scores of a window's rows [start, stop), float32 (C, rows, W), summed over mirrors."""
        parts = [logits.strip(start, stop) for logits in window.logits]
        if self.protocol.merge == "exp":
            total = parts[0] if len(parts) == 1 else np.add(*parts, out=parts[0])
            if self.offset:
                total -= np.float32(self.offset)
            return np.exp(total, out=total)
        for part in parts:
            part -= part.max(axis=0)
            np.exp(part, out=part)
            part *= np.float32(1) / part.sum(axis=0)
        return parts[0] if len(parts) == 1 else np.add(*parts, out=parts[0])


class _Strip:
    """Scores of rows of the image, from the windows that are there."""

    def __init__(self, merger, rows, to_image, share, last):
        self.merger, self.rows, self.to_image = merger, rows, to_image
        self.share, self.last = share, last

    def __call__(self, start, stop):
        merger = self.merger
        low, high = self.to_image.rows.source(start, stop)
        scores = self._canvas(low, high)
        if self.share is not None:
            scores *= self.share[low:high]
        scores = self.to_image.strip(scores, start, stop, offset=low)
        if merger.total is not None:
            total = merger.total[:, start:stop]
            scores = np.add(total, scores, out=total)
        if self.last:
            best = argmax_into(scores, merger.classes[start:stop])
            if merger.confidence is not None:
                merger.confidence[start:stop] = best / scores.sum(axis=0)
            if best.min() <= 0:
                raise MXNetSegError(
                    "The logits of this network differ too much between pixels for the merge "
                    "'exp': some scores vanish. Use the merge 'prob'."
                )

    def _canvas(self, low, high):
        """Sum over the windows, float32 (C, high - low, width of the scaled image)."""
        parts = []
        for row in self.rows:
            top, bottom = max(low, row.top), min(high, row.bottom)
            if top < bottom:
                parts += [(top, bottom, row, window) for window in row.windows]
        width = self.to_image.columns.matrix.shape[1]
        canvas = None
        for top, bottom, row, window in parts:
            scores = self.merger.scores(window, top - row.top, bottom - row.top)
            if len(parts) == 1:
                return scores
            if canvas is None:
                canvas = np.zeros((len(scores), high - low, width), np.float32)
            canvas[:, top - low : bottom - low, window.left : window.right] += scores
        return canvas


def _cover(ranges, length):
    """How many of the ranges hold each of 0 ... length - 1."""
    count = np.zeros(length, np.int64)
    for start, stop in ranges:
        count[start:stop] += 1
    return count
