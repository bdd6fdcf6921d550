"""The class map of an image: windows, mirror images and scales through a backend, and merged."""

import math
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from ..data.opencv import by_channels
from ..errors import UsageError
from ..resample import Resize, chain, interpolation, parallel, strips
from .logits import argmax, argmax_into, logits_of, read

BATCH_PIXELS = 2_400_000  # of the windows that go through the network together
EXP_LIMIT = 80.0  # exp of it, summed over thousands of windows, still is a float32
EXP_ROOM = 40.0  # kept free below the limit when the offset is raised


def segment(backend, image, protocol, size=None, context=0):
    """The class map of an image, uint8 (H, W): see :func:`classify`."""
    return classify(backend, image, protocol, size, context)[0]


def classify(backend, image, protocol, size=None, context=0, confidence=False, seen=None):
    """The class map of an image and, if asked for, how sure it is.

    Args:
        backend: see :mod:`~mxnetseg.inference.backend`.
        image: uint8 (H, W, 3), RGB.
        size: (H, W) of the class map; by default the image's. Scores are resized, not classes.
        context: which of the backend's devices.
        confidence: whether to compute it.
        seen: a list that gets a :class:`Seen` of each window, not mirrored, at scale 1 or the first
            of the protocol's.

    Returns:
        uint8 (H, W), the classes; and float32 (H, W), the share of the largest score in the sum of
        all (for ``logits``: the largest soft-max of their mean), which for one pass is the largest
        soft-max; or None.

    Raises:
        UsageError: the network cannot take inputs of the protocol's size.
        MXNetSegError: the network's scores are not finite.
    """
    size = tuple(size or image.shape[:2])
    if protocol.mode == "slide" and protocol.crop_size is None:
        raise UsageError("Mode slide needs the size of the windows: set eval.crop_size.")
    for kind in (np.float32, np.float64):
        try:
            return _merged(backend, image, protocol, size, context, confidence, kind, seen)
        except _Vanished:
            pass
    protocol = replace(protocol, merge="logits")
    return _merged(backend, image, protocol, size, context, confidence, np.float32, seen)


def window(backend, image, protocol, turn=0):
    """One of the windows of an image that a protocol sends through the network.

    Args:
        backend: its ``fill`` is needed. image: (H, W, C), as of :func:`classify`.
        turn: which one, modulo how many there are: scales take turns first, then their windows.

    Returns:
        (uint8 or float32 (h, w, C), the (height, width) that a backend pads it to).
    """
    turn, number = divmod(turn, len(protocol.scales))
    scale = protocol.scales[number]
    scaled = resize_image(image, protocol.scaled_size(*image.shape[:2], scale), protocol)
    plan = protocol.plan(*scaled.shape[:2], scale)
    row, column = divmod(turn % (len(plan.rows) * len(plan.columns)), len(plan.columns))
    (top, bottom), (left, right) = plan.rows[row], plan.columns[column]
    return _filled(scaled[top:bottom, left:right], plan, protocol, backend), plan.size


class Seen(NamedTuple):
    """A window and what the network said of it.

    Attributes:
        logits: float32 (C, h, w), of an input of size ``padded``.
        padded: (height, width). before: rows and columns of padding above and left of the window.
        rows, columns: (first, last + 1) of the window in the image.
        size: (height, width) of the image, as the protocol scaled it.
    """

    logits: np.ndarray
    padded: tuple
    before: tuple
    rows: tuple
    columns: tuple
    size: tuple


class _Vanished(Exception):
    """Pixels have no score, because exp of their logits is too small a number."""


def _merged(backend, image, protocol, size, context, confidence, kind, seen):
    """(classes, confidence) from all scales, with scores of one kind of float."""
    if seen is not None:
        seen.clear()
    looked_at = protocol.scales.index(1) if 1 in protocol.scales else 0
    merger = _Merger(backend, protocol, image.shape[:2], size, context, confidence, kind)
    for number, scale in enumerate(protocol.scales, 1):
        scaled = resize_image(image, protocol.scaled_size(*image.shape[:2], scale), protocol)
        plan = protocol.plan(*scaled.shape[:2], scale)
        merger.seen = seen if number - 1 == looked_at else None
        once = len(protocol.scales) == len(plan.rows) == len(plan.columns) == 1
        if once and not protocol.flip and _logits_suffice(protocol, scaled.shape[:2], size):
            merger.plain(scaled, plan)
        else:
            merger.add(scaled, plan, last=number == len(protocol.scales))
    return merger.classes, merger.confidence


def _logits_suffice(protocol, scaled, size):
    """Whether one pass has the arg-max of its resized logits."""
    return protocol.one_pass == "logits" or protocol.merge == "logits" or scaled == size


def resize_image(image, size, protocol):
    """An image at (height, width) by the protocol's rule: uint8 or float32 in 0..255."""
    if image.shape[:2] == tuple(size):
        return image
    if protocol.image == "float":
        image = image.astype(np.float32)
    if protocol.resize == "aligned":
        rows, columns = (interpolation(n, m, True) for n, m in zip(image.shape[:2], size))
        return _resized_in_strips(image, Resize(rows, columns))
    shrink = max(n / m for n, m in zip(image.shape[:2], size))
    by_area = protocol.resize == "area" and shrink >= 1.3
    method = cv2.INTER_AREA if by_area else cv2.INTER_LINEAR
    return by_channels(
        lambda part: cv2.resize(part, (size[1], size[0]), interpolation=method), image
    )


def _resized_in_strips(image, resize):
    """float32 (H, W, C) -> another size."""
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    out = np.empty((*resize.shape, len(planes)), np.float32)

    def work(start, stop):
        out[start:stop] = resize.strip(planes, start, stop).transpose(1, 2, 0)

    parallel(work, strips(resize.shape[0], resize.shape[1] * len(planes)))
    return out


def _filled(window, plan, protocol, backend):
    """A window at its full size; or as it is where the backend fills the rest with the mean."""
    (height, width), (top, left) = window.shape[:2], plan.before
    down, right = plan.size[0] - top - height, plan.size[1] - left - width
    if not protocol.mirrors_window or not (top or left or down or right):
        return window
    colour = [0.0] * window.shape[2]
    if not protocol.fills_black:
        window, colour = window.astype(np.float32), backend.fill
    return by_channels(
        lambda part, value: cv2.copyMakeBorder(
            part, top, down, left, right, cv2.BORDER_CONSTANT, value=value
        ),
        window,
        colour,
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

    def __init__(self, backend, protocol, original, size, context, confidence, kind):
        self.backend, self.protocol, self.context = backend, protocol, context
        self.original, self.size = original, size
        self.kind = kind  # of the scores: float32, or float64 where exp needs it
        self.total = None  # scores (C, H, W), where there are several scales
        self.offset = 0.0  # of the exponents of "exp"
        self.seen = None  # or a list that windows are noted in
        self.classes = np.empty(size, np.uint8)
        self.confidence = np.empty(size, np.float32) if confidence else None

    def plain(self, image, plan):
        """The class map if there is just one window: the arg-max needs no probabilities."""
        size = image.shape[:2]
        result = self.backend(
            _filled(image, plan, self.protocol, self.backend)[None], plan.size, self.context
        )
        values = read(result)[0]
        self._note(values, plan, (0, size[0]), (0, size[1]), size)
        logits = logits_of(
            values,
            self.backend.padded_size(*plan.size),
            size,
            self.backend.align_corners,
            before=plan.before,
            then=self._to_image(size),
        )
        self.classes = argmax(logits, self.confidence)

    def _note(self, values, plan, rows, columns, size):
        if self.seen is not None:
            padded = self.backend.padded_size(*plan.size)
            self.seen.append(Seen(values, padded, plan.before, rows, columns, size))

    def _to_image(self, size):
        """How scores of a scaled image become those of the class map: two of resample.Axis."""
        aligned = self.protocol.scores_resize == "aligned"

        def axis(scaled, original, wanted):
            if self.protocol.preset is None:
                return interpolation(scaled, wanted, aligned)
            # the originals know the image's size first; a mask of another size comes later
            first = interpolation(scaled, original, aligned)
            return chain(first, interpolation(original, wanted, aligned))

        return [axis(*sizes) for sizes in zip(size, self.original, self.size)]

    def add(self, image, plan, last):
        """Add the scores of the image at one scale; ``last`` finishes the class map."""
        (height, width), (rows, columns) = image.shape[:2], plan[:2]
        to_image = Resize(*self._to_image((height, width)))
        share = None  # of a window in the mean at a pixel
        if len(rows) > 1 or len(columns) > 1:
            share = 1 / np.outer(_cover(rows, height), _cover(columns, width)).astype(np.float32)
        needs = np.maximum.accumulate(to_image.rows.last)  # source rows for the first t outputs
        active, done = [], 0
        for number, row in enumerate(self._window_rows(image, plan)):
            active.append(row)
            complete = rows[number + 1][0] if number + 1 < len(rows) else height
            ready = int(np.searchsorted(needs, complete, side="right"))
            if ready > done:
                classes = active[0].windows[0].logits[0].values.shape[0]
                if self.total is None and not (last and len(self.protocol.scales) == 1):
                    self.total = np.zeros((classes, *self.size), self.kind)
                density = max(1.0, height / self.size[0]) * max(width, self.size[1])
                ranges = strips(ready - done, int(classes * density))
                work = _Strip(self, active, to_image, share, last)
                parallel(work, [(done + a, done + b) for a, b in ranges])
                done = ready
            if done < self.size[0]:
                first = int(to_image.rows.first[done:].min())
                active = [r for r in active if r.bottom > first]

    def _window_rows(self, image, plan):
        """Rows of windows, top to bottom; the device works ahead by one row."""
        pending = None
        for row in plan.rows:
            started = self._start(image, row, plan)
            if pending:
                yield self._finish(*pending, image.shape[:2])
            pending = row, plan, started
        yield self._finish(*pending, image.shape[:2])

    def _start(self, image, row, plan):
        """Start the network on a row of windows; logits come in batches, mirror images behind."""
        windows = []
        for left, right in plan.columns:
            window = _filled(image[row[0] : row[1], left:right], plan, self.protocol, self.backend)
            windows += [window, window[:, ::-1]] if self.protocol.flip else [window]
        batch = max(1, BATCH_PIXELS // (plan.size[0] * plan.size[1]))
        return [
            self.backend(np.stack(windows[i : i + batch]), plan.size, self.context)
            for i in range(0, len(windows), batch)
        ]

    def _finish(self, row, plan, results, image_size):
        """Wait for a row of windows: a _WindowRow."""
        values = [v for result in results for v in read(result)]
        padded = self.backend.padded_size(*plan.size)
        align, before = self.backend.align_corners, plan.before
        windows = []
        for left, right in plan.columns:
            size = row[1] - row[0], right - left
            self._note(values[0], plan, tuple(row), (left, right), image_size)
            logits = [logits_of(values.pop(0), padded, size, align, before=before)]
            if self.protocol.flip:
                mirrored = plan.size[1] if self.protocol.mirrors_window else size[1]
                logits.append(logits_of(values.pop(0), padded, size, align, mirrored, before))
            windows.append(_Window(left, right, logits))
        if self.protocol.merge in ("exp", "exp_mean"):
            self._make_room(windows)
        return _WindowRow(row[0], row[1], windows)

    @property
    def mirror_share(self):
        """What the sum of the logits of both mirror images is multiplied by."""
        return 0.5 if self.protocol.flip and self.protocol.merge != "exp" else 1.0

    def _make_room(self, windows):
        """Divide all scores by a common number if the next ones would overflow."""
        largest = max(sum(float(v.values.max()) for v in w.logits) for w in windows)
        largest *= self.mirror_share
        room = 1 if self.kind == np.float32 else 8  # the exponents of float64 have three more bits
        if largest - self.offset > EXP_LIMIT * room:
            offset = largest - EXP_ROOM * room
            if self.total is not None:
                self.total *= self.kind(math.exp(self.offset - offset))
            self.offset = offset

    def scores(self, window, start, stop):
        """Scores of a window's rows [start, stop), (C, rows, W), of both mirror images."""
        parts = [logits.strip(start, stop) for logits in window.logits]
        if self.protocol.merge != "prob":
            total = parts[0] if len(parts) == 1 else np.add(*parts, out=parts[0])
            if self.mirror_share != 1:
                total *= np.float32(self.mirror_share)
            if self.protocol.merge == "logits":
                return total
            total = total.astype(self.kind, copy=False)
            if self.offset:
                total -= self.kind(self.offset)
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
                merger.confidence[start:stop] = self._confidence(best, scores)
            if best.min() <= 0 and merger.protocol.merge != "logits":
                raise _Vanished

    def _confidence(self, best, scores):
        if self.merger.protocol.merge != "logits":
            return best / scores.sum(axis=0)
        scale = np.float32(1 / len(self.merger.protocol.scales))
        return 1 / np.exp((scores - best) * scale).sum(axis=0)

    def _canvas(self, low, high):
        """Sum over the windows, (C, high - low, width of the scaled image)."""
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
                canvas = np.zeros((len(scores), high - low, width), scores.dtype)
            canvas[:, top - low : bottom - low, window.left : window.right] += scores
        return canvas


def _cover(ranges, length):
    """How many of the ranges hold each of 0 ... length - 1."""
    count = np.zeros(length, np.int64)
    for start, stop in ranges:
        count[start:stop] += 1
    return count
