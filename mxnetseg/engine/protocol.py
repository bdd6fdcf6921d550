"""How an image is scored: whole or in windows, at which scales, mirrored or not, how merged."""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from .. import config
from ..data.pixels import by_channels
from ..errors import MXNetSegError, UsageError
from ..resample import Resize, interpolation, parallel, strips
from .inference import argmax, argmax_into, logits_of, read

WHOLE_PIXELS = 7_000_000  # of an image at once; a ladder decoder takes about 5 GB for so many
BATCH_PIXELS = 2_400_000  # of the windows that go through the network together
MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # where a data set does not name its own
EXP_LIMIT = 80.0  # exp of it, summed over thousands of windows, still is a float32
EXP_ROOM = 40.0  # kept free below the limit when the offset is raised


@dataclass(frozen=True)
class Protocol:
    """What an evaluation does with an image; printed with every result.

    Attributes:
        mode: ``whole``: the image at once, padded to what the network takes (of more than 7 million
            pixels, after scaling: in two overlapping halves); ``slide``: windows of ``crop_size``.
            Padding is the mean colour, right and below.
        crop_size: (height, width) of a window. None: the data set's own.
        stride: (rows, columns) between windows. None: two thirds of the crop.
        scales: sizes relative to the image (or to ``base_size``).
        flip: score the mirrored image as well.
        merge: ``prob``: mean of the soft-max over mirror images, windows and scales. ``exp``:
            MXNetSeg's: exp(sum of the logits of both mirror images), mean over windows, sum over
            scales; large logits count more, and so that they do not overflow, all scores of an
            image are divided by one common number where necessary.
        base_size: long side that scale 1 means. None: the image's own.
        windows: ``shift``: the last window of a row or column is moved back to full size; ``pad``:
            it sticks out and is filled with black, as in MXNetSeg.

    Images are scaled linearly, by areas when they shrink to 1/1.3 or less; scores linearly (pixel
    centres aligned), at last to the size of the mask.
    """

    mode: str = "whole"
    crop_size: Optional[Tuple[int, int]] = None
    stride: Optional[Tuple[int, int]] = None
    scales: Tuple[float, ...] = (1.0,)
    flip: bool = False
    merge: str = "prob"
    base_size: Optional[int] = None
    windows: str = "shift"

    def __post_init__(self):
        for name, known in (
            ("mode", ("whole", "slide")),
            ("merge", ("prob", "exp")),
            ("windows", ("shift", "pad")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {' or '.join(known)}, not '{getattr(self, name)}'.")
        for name in ("crop_size", "stride"):
            value = getattr(self, name)
            if value is not None:
                value = config.pair(value)
                if len(value) != 2 or min(value) < 1:
                    raise UsageError(f"{name} needs a positive height and width, not {value}.")
                object.__setattr__(self, name, tuple(int(v) for v in value))
        scales = tuple(float(s) for s in self.scales)
        if not scales or not all(0 < s < math.inf for s in scales):
            raise UsageError(f"scales must be positive numbers, not {list(self.scales)}.")
        object.__setattr__(self, "scales", scales)
        if self.base_size is not None and self.base_size < 1:
            raise UsageError(f"base_size must be positive, not {self.base_size}.")
        if self.crop_size and any(s > c for s, c in zip(self.step, self.crop_size)):
            raise UsageError(
                f"The stride {self.step} is larger than the crop {self.crop_size}: pixels between "
                "the windows would have no score. Use a smaller stride."
            )

    @classmethod
    def from_config(cls, experiment):
        """The protocol of an experiment's section ``eval``."""
        section = experiment.eval.model_dump()
        if section["mode"] == "slide" and section["crop_size"] is None:
            section["crop_size"] = experiment.train.crop_size
        return cls(**section)

    @classmethod
    def build(
        cls, saved, info, meta=None, multi_scale=False, mode=None, scales=None, flip=None,
        merge=None, crop_size=None, base_size=None,
    ):  # fmt: skip
        """A checkpoint's protocol with somebody's wishes on top; None: as it is.

        Args:
            saved: ``as_dict`` of the checkpoint's protocol, or None.
            info: description of the data set, for its scales.
            meta: the checkpoint's description, for the crop that it was trained with.
            multi_scale: the data set's scales, and mirrored.
            crop_size: without ``mode`` it means sliding windows.
        """
        fields = dict(saved or {})
        if multi_scale:
            fields.update(scales=tuple(getattr(info, "scales", None) or MULTI_SCALE), flip=True)
        if crop_size is not None:
            fields.update(mode="slide", crop_size=crop_size, stride=None)
        wishes = dict(mode=mode, scales=scales, flip=flip, merge=merge, base_size=base_size)
        fields.update({k: v for k, v in wishes.items() if v is not None})
        if fields.get("mode") == "slide" and not fields.get("crop_size"):
            trained = (meta or {}).get("experiment") or {}
            fields["crop_size"] = (trained.get("train") or {}).get("crop_size")
        return cls(**fields)

    def as_dict(self):
        """As JSON; ``Protocol(**that)`` is the same again."""
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if self.mode == "slide" and self.crop_size:
            lists["stride"] = list(self.step)
        return lists

    def __str__(self):
        text = self.mode
        if self.mode == "slide" and self.crop_size:
            text += " {}x{} stride {}x{}".format(*self.crop_size, *self.step)
        text += ", scales " + " ".join(f"{s:g}" for s in self.scales)
        if self.base_size:
            text += f" of {self.base_size}"
        return text + (", flip" if self.flip else "") + f", merge {self.merge}"

    @property
    def step(self):
        """(rows, columns) between windows."""
        return self.stride or tuple(max(1, int(c * 2 / 3)) for c in self.crop_size)

    def scaled_size(self, height, width, scale):
        """(height, width) of an image at a scale; MXNetSeg's rule."""
        long_side = max(height, width)
        # the small number: 1000 x 1.1 is 1100.0000000000002
        long = max(1, math.ceil((self.base_size or long_side) * scale - 1e-6))
        return tuple(
            long if v == long_side else max(1, int(v * long / long_side + 0.5))
            for v in (height, width)
        )

    def plan(self, height, width):
        """The windows over an image: (row ranges, column ranges, size of the network's input)."""
        if self.mode == "whole":
            return _whole(height, width)
        axes = [
            _ranges(n, c, s, self.windows == "shift")
            for n, c, s in zip((height, width), self.crop_size, self.step)
        ]
        return axes[0], axes[1], self.crop_size


def _whole(height, width):
    """The plan of one window; of two that overlap by a quarter where memory would not suffice."""
    if height * width <= WHOLE_PIXELS:
        return [(0, height)], [(0, width)], (height, width)
    part = -(-max(height, width) * 5 // 8)
    if width >= height:
        return [(0, height)], [(0, part), (width - part, width)], (height, part)
    return [(0, part), (height - part, height)], [(0, width)], (part, width)


def _ranges(length, crop, stride, shift):
    """[(start, stop), ...] that cover 0 ... length."""
    if length <= crop:
        return [(0, length)]
    count = -(-(length - crop) // stride) + 1
    starts = [min(i * stride, length - crop) if shift else i * stride for i in range(count)]
    return [(s, min(s + crop, length)) for s in starts]


def segment(inference, image, protocol, size=None, context=0):
    """The class map of an image.

    Args:
        inference: Inference.
        image: uint8 (H, W, 3), RGB.
        size: (H, W) of the class map; by default the image's. Scores are resized, not classes.
        context: which of the inference's devices.

    Returns:
        uint8 (H, W).

    Raises:
        UsageError: the network cannot take inputs of the protocol's size.
        MXNetSegError: the network's scores are not finite.
    """
    size = tuple(size or image.shape[:2])
    if protocol.mode == "slide" and protocol.crop_size is None:
        raise UsageError("Mode slide needs the size of the windows: set eval.crop_size.")
    merger = _Merger(inference, protocol, size, context)
    for number, scale in enumerate(protocol.scales, 1):
        scaled = resize_image(image, protocol.scaled_size(*image.shape[:2], scale))
        rows, columns, _ = protocol.plan(*scaled.shape[:2])
        if len(protocol.scales) == len(rows) == len(columns) == 1 and not protocol.flip:
            return merger.plain(scaled)
        merger.add(scaled, last=number == len(protocol.scales))
    return merger.classes


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

    def __init__(self, inference, protocol, size, context):
        self.inference, self.protocol, self.context = inference, protocol, context
        self.size = size
        self.total = None  # float32 (C, H, W), where there are several scales
        self.offset = 0.0  # of the exponents of "exp"
        self.classes = np.empty(size, np.uint8)

    def plain(self, image):
        """Class map if there is just one window: the arg-max needs no probabilities."""
        size = image.shape[:2]
        padded = self.protocol.plan(*size)[2]
        result = self.inference(image[None], padded, self.context)
        target = None if size == self.size else self.size
        padded = self.inference.padded_size(*padded)
        align = self.inference.net.align_corners
        return argmax(logits_of(read(result)[0], padded, size, align, target=target))

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
            self.inference(np.stack(windows[i : i + batch]), crop, self.context)
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
        padded = self.inference.padded_size(*crop)
        align = self.inference.net.align_corners
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
