"""A network on images: uint8 pixels in, logits at the network's resolution out, classes at any.

The device does what it is good at (normalisation, the network); the host enlarges the small logits
in strips that stay in its cache and takes the arg-max there, which costs less than moving the
enlarged logits through memory even once.
"""

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import mxnet as mx
import numpy as np
from mxnet import gluon

from ..errors import MXNetSegError, UsageError
from ..nn import Normalize
from ..runtime import usable_cores

STRIP_VALUES = 1_200_000  # of float32 scores per strip and thread: about the second-level cache
FUSED_TOLERANCE = 1e-4  # of the logits' standard deviation; right ones differ by 1e-5


class Inference:
    """Runs a network, inference only. The network's flags and hybridised graph are not touched.

    The graph is traced anew and shares the network's parameters. While the parameters change (in
    training) make a new one for every evaluation: that takes a fraction of a second.

    Args:
        net: a SegmentationModel with parameters on ``contexts``.
        contexts: devices; one, or several that are used in parallel (see ``context``).
        mean, std: normalisation of RGB images in 0 ... 1.
        fuse: join convolution, norm and activation (CPU only). Networks with many light layers
            gain most: MobileNetV2 is three times as fast. Where MXNet cannot join the layers of a
            network correctly, it runs as it is.
    """

    def __init__(self, net, contexts, mean, std, fuse=True):
        self.net = net
        self.contexts = list(contexts)
        self.normalize = Normalize(mean, std)
        self.normalize.initialize(ctx=self.contexts)
        self.normalize.hybridize(static_alloc=True)
        self._forward = self._trace()
        self._forward.hybridize(static_alloc=True, static_shape=True)
        self.fused = False
        if fuse and self._can_fuse():
            self._fuse()

    def _trace(self):
        x = mx.sym.var("data", dtype="float32")
        return gluon.SymbolBlock(
            self.net.logits(mx.sym, x)[0], [x], params=self.net.collect_params()
        )

    def _can_fuse(self):
        return (
            all(c.device_type == "cpu" for c in self.contexts)
            and mx.runtime.Features().is_enabled("MKLDNN")
            and os.environ.get("MXNET_MKLDNN_ENABLED", "1") != "0"
        )

    def _fuse(self):
        """Use the fused graph if it proves to be right on a small image.

        MXNet 1.9.1 mixes up the inputs of fused layers in some graphs; mostly their shapes then do
        not fit, but nothing guarantees that.
        """
        height, width = self.net.valid_size(48, 80)
        values = np.random.RandomState(0).standard_normal((1, 3, height, width))
        x = mx.nd.array(values, ctx=self.contexts[0])
        fused = self._trace()
        try:
            fused.optimize_for(x, backend="MKLDNN", static_alloc=True, static_shape=True)
            found = fused(x).asnumpy()
        except mx.MXNetError:
            return
        wanted = self._forward(x).asnumpy()
        difference = np.abs(found - wanted).max()
        if difference <= FUSED_TOLERANCE * wanted.std():
            self._forward, self.fused = fused, True

    def __call__(self, images, padded=None, context=0):
        """Start the network on a batch; does not wait for the result.

        Args:
            images: uint8 (N, H, W, 3), RGB; or float32 in 0..255 and other channels, as the data
                set has them.
            padded: (height, width) that the images are padded to first, right and below, with the
                mean colour. Then and by default to what the network takes.
            context: which of the devices.

        Returns:
            float32 NDArray (N, num_classes, h, w).

        Raises:
            UsageError: the network takes only inputs smaller than this.
        """
        height, width = images.shape[1:3]
        rows, columns = self.padded_size(*(padded or (height, width)))
        device = self.contexts[context]
        x = self.normalize(mx.nd.array(images, ctx=device, dtype=images.dtype))
        if (rows, columns) != (height, width):
            margin = (0, 0, 0, 0, 0, rows - height, 0, columns - width)
            x = mx.nd.pad(x, mode="constant", constant_value=0, pad_width=margin)
        return self._forward(x)

    def padded_size(self, height, width):
        """The size that the network sees for an image of (height, width)."""
        rows, columns = self.net.valid_size(height, width)
        if rows < height or columns < width:
            raise UsageError(
                f"{type(self.net).__name__} takes inputs of {rows}x{columns} only, not "
                f"{height}x{width}. Evaluate with sliding windows: mode slide, crop size "
                f"{rows}x{columns}."
            )
        return rows, columns


def read(logits):
    """Logits on a device -> NumPy; MXNetSegError if they are not finite."""
    values = logits.asnumpy()
    if not np.isfinite(values).all():
        raise MXNetSegError(
            "The network's scores are not finite: its parameters are damaged or its training "
            "diverged. Train with a lower optim.lr, or take another checkpoint."
        )
    return values


# --- enlargement ------------------------------------------------------------------------------


class Axis(NamedTuple):
    """Linear interpolation along one axis: ``out = matrix @ in``.

    Attributes:
        matrix: float32 (n_out, n_in). first, last: per output, the inputs [first, last) it needs.
        identity: whether nothing changes.
        opencv: whether cv2.resize does the same.
    """

    matrix: np.ndarray
    first: np.ndarray
    last: np.ndarray
    identity: bool
    opencv: bool = False

    def source(self, start, stop):
        """The range of inputs that the outputs [start, stop) need."""
        return int(self.first[start:stop].min()), int(self.last[start:stop].max())


def _axis(matrix, opencv=False):
    used = matrix != 0
    first = used.argmax(axis=1)
    last = matrix.shape[1] - used[:, ::-1].argmax(axis=1)
    square = matrix.shape[0] == matrix.shape[1]
    identity = bool(square and (last - first == 1).all() and (first == np.arange(len(first))).all())
    return Axis(matrix, first, last, identity, opencv)


@functools.lru_cache(maxsize=64)
def interpolation(n_in, n_out, align_corners=False, keep=None, flip=False, cut=None):
    """An axis of length ``n_in`` resized to ``n_out``, as ``nn.resize_like`` does.

    Args:
        keep: only the first ``keep`` outputs: the rest is padding.
        flip: reverse what was kept.
        cut: only the first ``cut`` of that.
    """
    out = np.arange(n_out, dtype=np.float64)
    if align_corners:
        position = out * ((n_in - 1) / max(n_out - 1, 1))
    else:
        position = np.clip((out + 0.5) * (n_in / n_out) - 0.5, 0, n_in - 1)
    low = np.minimum(position.astype(np.int64), max(n_in - 2, 0))
    share = position - low
    matrix = np.zeros((n_out, n_in), np.float32)
    rows = np.arange(n_out)
    matrix[rows, low] = 1 - share
    matrix[rows, np.minimum(low + 1, n_in - 1)] += share
    matrix = matrix[:keep]
    matrix = matrix[::-1] if flip else matrix
    whole = not (align_corners or keep or flip or cut)
    return _axis(np.ascontiguousarray(matrix[:cut]), opencv=whole)


def chain(first, second):
    """One axis that does ``first``, then ``second``."""
    if second.identity:
        return first
    return second if first.identity else _axis(second.matrix @ first.matrix)


class Resize:
    """Maps (C, h, w) -> (C, H, W), strip by strip of rows.

    Args:
        rows, columns: Axis.
    """

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.shape = len(rows.matrix), len(columns.matrix)
        # Blocks of outputs need few of the inputs, which keeps the matrices small. They must be
        # smaller the less an axis grows.
        growth = [len(axis.matrix) / axis.matrix.shape[1] for axis in (rows, columns)]
        self._height = max(4, int(4 * growth[0]))
        self._opencv = columns.opencv and growth[1] < 2
        if not (columns.identity or self._opencv):
            self._blocks = self._cut(columns, min(256, max(16, int(16 * growth[1]))))

    def _cut(self, axis, width):
        blocks = []
        for start in range(0, self.shape[1], width):
            stop = min(self.shape[1], start + width)
            low, high = axis.source(start, stop)
            weights = np.ascontiguousarray(axis.matrix[start:stop, low:high].T)
            blocks.append((slice(start, stop), slice(low, high), weights))
        return blocks

    def strip(self, values, start, stop, offset=0):
        """Rows [start, stop) of the result, float32 (C, stop - start, W), always a new array.

        ``values`` may lack the first ``offset`` rows of the input.
        """
        part = self._strip_rows(values, start, stop, offset)
        if self.columns.identity:
            return part.copy() if self.rows.identity else part
        count, height = part.shape[:2]
        if self._opencv:
            flat = np.ascontiguousarray(part).reshape(count * height, -1)
            size = (self.shape[1], count * height)
            flat = cv2.resize(flat, size, interpolation=cv2.INTER_LINEAR)
            return flat.reshape(count, height, -1)
        out = np.empty((count, height, self.shape[1]), np.float32)
        for target, source, weights in self._blocks:
            np.matmul(part[:, :, source], weights, out=out[:, :, target])
        return out

    def _strip_rows(self, values, start, stop, offset):
        if self.rows.identity:
            return values[:, start - offset : stop - offset]
        out = np.empty((len(values), stop - start, values.shape[2]), np.float32)
        for top in range(start, stop, self._height):
            bottom = min(stop, top + self._height)
            low, high = self.rows.source(top, bottom)
            part = values[:, low - offset : high - offset]
            weights = self.rows.matrix[top:bottom, low:high]
            np.matmul(weights, part, out=out[:, top - start : bottom - start])
        return out


class Logits(NamedTuple):
    """The logits of one image at the network's resolution, and how they become its size.

    Attributes:
        values: float32 (C, h, w).
        resize: Resize to the size of the image.
    """

    values: np.ndarray
    resize: Resize

    def strip(self, start, stop):
        """Logits of the image's rows [start, stop), float32 (C, rows, W), a new array."""
        return self.resize.strip(self.values, start, stop)


def logits_of(values, padded, size, align_corners, mirrored=None, target=None):
    """Logits for the image's own pixels.

    Args:
        values: (C, h, w) as the network gave them for an input of size ``padded``.
        size: (H, W) of the image in the upper left corner of that input.
        mirrored: the width that was mirrored before padding; the logits are mirrored back.
        target: (H, W) to resize the image's scores to afterwards.
    """
    axes = [
        interpolation(values.shape[1], padded[0], align_corners, size[0]),
        interpolation(
            values.shape[2], padded[1], align_corners, mirrored or size[1], bool(mirrored), size[1]
        ),
    ]
    if target is not None:
        axes = [chain(a, interpolation(n, t)) for a, n, t in zip(axes, size, target)]
    return Logits(values, Resize(*axes))


# --- strips -----------------------------------------------------------------------------------


def strips(rows, values_per_row):
    """Ranges of rows, each with about STRIP_VALUES values."""
    height = max(4, STRIP_VALUES // max(1, values_per_row))
    return [(start, min(rows, start + height)) for start in range(0, rows, height)]


@functools.lru_cache(maxsize=1)
def _pool():
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="strips")


def parallel(function, items):
    """``function(*item)`` for all items on all cores; NumPy lets go of the interpreter."""
    items = list(items)
    if len(items) < 2 or usable_cores() < 2:
        return [function(*item) for item in items]
    return list(_pool().map(lambda item: function(*item), items))


def argmax_into(scores, out):
    """Index of the largest of ``scores`` (C, h, w) per pixel into uint8 ``out`` (h, w).

    The first of equals wins, as in NumPy.

    Returns:
        The largest scores (h, w).
    """
    best = scores[0].copy()
    out[...] = 0
    better = np.empty(best.shape, bool)
    index = better.view(np.uint8)
    for k in range(1, len(scores)):
        np.greater(scores[k], best, out=better)
        np.multiply(index, np.uint8(k), out=index)
        np.maximum(out, index, out=out)  # k only grows
        np.maximum(best, scores[k], out=best)
    return best


def argmax(logits):
    """Class map uint8 (H, W) of :class:`Logits`."""
    height, width = logits.resize.shape
    out = np.empty((height, width), np.uint8)

    def work(start, stop):
        argmax_into(logits.strip(start, stop), out[start:stop])

    parallel(work, strips(height, len(logits.values) * width))
    return out
