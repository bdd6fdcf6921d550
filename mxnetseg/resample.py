"""Bilinear resizing of arrays on the host, in strips that stay in the cache.

A large array that is made, read and dropped strip by strip never moves through memory, which is
what enlarging logits mostly costs. Shared by the loss, the evaluator and the predictor.
"""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from .runtime import usable_cores

STRIP_VALUES = 1_200_000  # of float32 scores per strip and thread: about the second-level cache


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
def interpolation(n_in, n_out, align_corners=False, keep=None, flip=False, cut=None, first=0):
    """An axis of length ``n_in`` resized to ``n_out``, as ``nn.resize_like`` does.

    Args:
        keep: only the first ``keep`` outputs: the rest is padding.
        flip: reverse what was kept.
        cut: only the first ``cut`` of that.
        first: the outputs before this one are left out.
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
    whole = not (align_corners or keep or flip or cut or first)
    return _axis(np.ascontiguousarray(matrix[first:cut]), opencv=whole)


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
        if not columns.identity:
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
        """Rows [start, stop) of the result, (C, stop - start, W), always a new array.

        ``values``, float32 or float64, may lack the first ``offset`` rows of the input.
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
        out = np.empty((count, height, self.shape[1]), part.dtype)
        for target, source, weights in self._blocks:
            np.matmul(part[:, :, source], weights, out=out[:, :, target])
        return out

    def _strip_rows(self, values, start, stop, offset):
        if self.rows.identity:
            return values[:, start - offset : stop - offset]
        out = np.empty((len(values), stop - start, values.shape[2]), values.dtype)
        for top in range(start, stop, self._height):
            bottom = min(stop, top + self._height)
            low, high = self.rows.source(top, bottom)
            part = values[:, low - offset : high - offset]
            weights = self.rows.matrix[top:bottom, low:high]
            np.matmul(weights, part, out=out[:, top - start : bottom - start])
        return out

    def transposed_strip(self, gradient, start, stop):
        """What rows [start, stop) of a gradient of the result are for the input.

        Args:
            gradient: float32 (C, stop - start, W).

        Returns:
            first, last and the gradient (C, last - first, w) of the input's rows [first, last).
        """
        first, last = self.rows.source(start, stop)
        part = np.matmul(self.rows.matrix[start:stop, first:last].T, gradient)
        if self.columns.identity:
            return first, last, part
        result = np.zeros((*part.shape[:2], self.columns.matrix.shape[1]), np.float32)
        for target, source, weights in self._blocks:
            result[:, :, source] += np.matmul(part[:, :, target], weights.T)
        return first, last, result


def strips(rows, values_per_row, values=None):
    """Ranges of rows, each with about ``values`` values, by default STRIP_VALUES."""
    height = max(4, (values or STRIP_VALUES) // max(1, values_per_row))
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
