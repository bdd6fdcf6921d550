"""How many paths lead from each pixel to one value of a layer: where dilation leaves holes.

As the receptive-field pictures of SANet's tools: all weights are 1, and borders, shortcuts, norms
and activations do not count. A window of k x k copies the map k x k times, its copies as far apart
as neighbours in the layer below are; so the map is the product of one vector per axis. Of a network
the chain of windows is taken that sees most; SANet's own tool holds its layers as lists.
"""

import math
import re
from fractions import Fraction
from typing import NamedTuple, Tuple

import cv2
import numpy as np

from ..errors import UsageError
from ..graph import from_sizes
from ..layers import trace
from . import fields, pictures

SCALES = ("rank", "log")
LARGEST = 2000  # pixels of a picture's side; squares shrink to a pixel, then values are left out
OVERVIEW = 240  # pixels of a map's side in the overview
_WINDOW = re.compile(r"(\d+)(?:x(\d+))?(?:s(\d+))?(?:d(\d+))?$")
_IN_PLACE = ("Pad", "slice", "slice_axis", "SliceChannel")  # they move or cut places


class Window(NamedTuple):
    """A layer with a window.

    Attributes:
        name: for titles. kernel, stride, dilation: (rows, columns); the stride is a fraction where
            maps are enlarged.
    """

    name: str
    kernel: Tuple[int, int]
    stride: Tuple[Fraction, Fraction] = (Fraction(1), Fraction(1))
    dilation: Tuple[int, int] = (1, 1)

    def __str__(self):
        """As ``3x3, stride 2, dilation 4``."""
        if self.stride[0] < 1:
            return f"enlarged {float(1 / self.stride[0]):g} times"
        parts = ["{}x{}".format(*self.kernel)]
        for what in ("stride", "dilation"):
            rows, columns = getattr(self, what)
            if (rows, columns) != (1, 1):
                parts.append(f"{what} {rows}" if rows == columns else f"{what} {rows}x{columns}")
        return ", ".join(parts)


class Paths(NamedTuple):
    """What one value of a layer sees.

    Attributes:
        window: the layer. rows, columns: how many paths there are along each axis, lists of int; a
            pixel's number is the product. jump: (rows, columns) in pixels between neighbours.
    """

    window: Window
    rows: list
    columns: list
    jump: Tuple[Fraction, Fraction]


def parse(words):
    """Windows from words: kernel, stride, dilation, as ``3``, ``3s2``, ``3d4``, ``1x5s2``.

    Raises:
        UsageError: a word is not of this form.
    """
    found = []
    for word in words:
        match = _WINDOW.match(word)
        numbers = [int(n) for n in match.groups() if n] if match else [0]
        if not min(numbers):
            raise UsageError(
                f"'{word}' is no window: write its kernel, stride and dilation as 3, 3s2, 3d4 or "
                "1x5s2."
            )
        rows, columns, stride, dilation = (int(n) if n else None for n in match.groups())
        pair = (Fraction(stride or 1),) * 2
        found.append(Window(word, (rows, columns or rows), pair, (dilation or 1,) * 2))
    return found


def of_network(net, height, width, layer="main"):
    """The windows on the way from the image to a layer; where ways meet, the one that sees most.

    Args:
        net: a SegmentationModel. height, width: of the images. layer: its name, or "main".

    Raises:
        UsageError: there is no such layer, or the way leads through something without windows.
    """
    traced = trace(net, height, width)
    views = fields.of_nodes(traced.graph)
    node = fields.last_node(traced, views, layer)
    constant, found = from_sizes(traced.graph), []
    while node.op is not None:
        sources = traced.graph.sources(node)
        shapes = traced.graph.input_shapes(node)
        sees = [views.seen[source.index] for source in sources]
        ways = [k for k, s in enumerate(sources) if sees[k].axes and s.index not in constant]
        if not ways:
            raise UsageError(_no_windows(layer, traced.owners[node.index], node.op))
        k = max(ways, key=lambda k: sum(field.size for _, field in sees[k].axes.values()))
        owner = traced.owners[node.index] or "network"
        window = _window(node, shapes[k], owner)
        if window is None and shapes[k][2:] != node.shapes[0][2:] and node.op not in _IN_PLACE:
            raise UsageError(_no_windows(layer, owner, node.op))
        if window is not None and (window.kernel != (1, 1) or window.stride != (1, 1)):
            found.append(window)
        node = sources[k]
    return found[::-1]


def _no_windows(layer, owner, operator):
    return (
        f"The way to '{layer}' leads through {owner} ({operator}), which has no "
        "window to count paths of. Choose a layer before it."
    )


def _window(node, shape, name):
    """The Window of a node, or None. Enlarging is a stride below 1."""
    if node.op == "_contrib_BilinearResize2D":
        stride = tuple(Fraction(a, b) for a, b in zip(shape[2:], node.shapes[0][2:]))
        return Window(name, (1, 1), stride)
    if node.op not in ("Convolution", "Pooling") or node.attrs.get("global_pool"):
        return None
    kernel = tuple(node.attrs["kernel"])
    stride = node.attrs.get("stride") or (1, 1)
    dilation = node.attrs.get("dilate") or (1, 1)
    return Window(name, kernel, tuple(Fraction(s) for s in stride), tuple(dilation))


def count(windows):
    """The Paths behind each of the windows, from the image on.

    Raises:
        UsageError: a map is enlarged so far that neighbours are no whole pixels apart.
    """
    axes, jump, found = [[1], [1]], [Fraction(1), Fraction(1)], []
    for window in windows:
        for a in (0, 1):
            step = jump[a] * window.dilation[a]
            if window.kernel[a] > 1 and step.denominator != 1:
                raise UsageError(
                    f"Values of the map before {window.name} are {jump[a]} pixels apart: paths are "
                    "counted where that is a whole number."
                )
            axes[a] = _spread(axes[a], window.kernel[a], int(step))
            jump[a] *= window.stride[a]
        found.append(Paths(window, axes[0], axes[1], tuple(jump)))
    return found


def _spread(values, kernel, step):
    """The sum of ``kernel`` copies of a list, each ``step`` places on."""
    out = [0] * (len(values) + (kernel - 1) * step)
    for k in range(kernel):
        for place, value in enumerate(values, k * step):
            out[place] += value
    return out


# --- pictures -----------------------------------------------------------------------------------


def as_text(found):
    """A line per layer: its window, its map's size, the jump, the most paths to a pixel."""
    return "\n".join(f"{k:3d}  {title(paths)}" for k, paths in enumerate(found, 1))


def title(paths):
    """What a map is of, in a line."""
    rows, columns, (down, right) = len(paths.rows), len(paths.columns), paths.jump
    jump = f"{down}" if down == right else f"{down}x{right}"
    holes = 1 - np.outer(*(np.count_nonzero(v) / len(v) for v in (paths.rows, paths.columns)))
    name, most = paths.window.name, log_most(paths)
    text = "" if _WINDOW.match(name) else f"{name}: "
    text += f"{paths.window}; {columns} x {rows} pixels, jump {jump}, "
    text += f"up to {_power(most)} path{'s' * (most > 0)}"
    return text + (f", {100 * float(holes):.0f} % holes" if holes > 0 else "")


def log_most(paths):
    """The decimal logarithm of the most paths to a pixel."""
    return math.log10(max(paths.rows)) + math.log10(max(paths.columns))


def _power(log):
    return f"{10**log:.0f}" if log < 5 else f"1e{log:.0f}"


def picture(paths, scale="rank", cell=10):
    """A map as a picture, uint8 (H, W, 3), below its title.

    Args:
        scale: "rank": coloured by the rank among the numbers that occur, as SANet's tool does;
            "log": by the logarithm, with a colour bar.
        cell: side of a value's square in pixels, if there is room; 1: a pixel each.
    """
    logs, text = _logs(paths, LARGEST), title(paths)
    side = max(1, min(cell, LARGEST // max(logs.shape) - 1))
    drawn = _squares(_colored(logs, scale), side)
    if scale == "log":
        drawn = pictures.filled(drawn, 60)
        drawn = pictures.with_bar(drawn, 0.0, log_most(paths), "turbo")
        text += "; log10"
    return pictures.titled(pictures.filled(drawn, 420), text)


def overview(found, scale="rank"):
    """All maps side by side, each as large as the others."""
    shown = []
    for paths in found:
        logs = _logs(paths, LARGEST)
        colors = _colored(logs, scale)
        ratio = OVERVIEW / max(logs.shape)
        size = [max(1, round(n * ratio)) for n in logs.shape[::-1]]
        tile = np.zeros((OVERVIEW, OVERVIEW, 3), np.uint8)
        method = cv2.INTER_NEAREST if ratio >= 1 else cv2.INTER_AREA
        small = cv2.resize(colors, tuple(size), interpolation=method)
        top, left = ((OVERVIEW - n) // 2 for n in small.shape[:2])
        tile[top : top + small.shape[0], left : left + small.shape[1]] = small
        shown.append(pictures.titled(tile, title(paths), 12))
    columns = min(6, max(3, math.ceil(math.sqrt(len(shown)))))
    return pictures.beside(shown, columns)


def _logs(paths, largest):
    """log10 of the paths, float64 (H, W), -inf for none; of every k-th pixel if it is too large."""
    every = -(-max(len(paths.rows), len(paths.columns)) // largest)
    rows, columns = (
        np.array([math.log10(v) if v else -np.inf for v in values[::every]])
        for values in (paths.rows, paths.columns)
    )
    return np.add.outer(rows, columns)


def _colored(logs, scale):
    """RGB of a map."""
    if scale == "log":
        colors = pictures.colored(np.maximum(logs, 0), 0, float(logs.max()), "turbo")
        colors[np.isneginf(logs)] = 0
        return colors
    # equal products of different factors differ by rounding
    values, rank = np.unique(np.round(logs, 9), return_inverse=True)
    rank = rank.reshape(logs.shape)
    holes = int(np.isneginf(values[0]))
    distinct = len(values) - holes
    if distinct == 1:
        index = np.full(logs.shape, 640)
    else:
        index = 1150 * (rank + 1 - holes) // distinct
    index[np.isneginf(logs)] = 0
    return _spectrum()[index]


def _spectrum():
    """The 1280 colours of SANet's tool, RGB: black, blue, cyan, green, yellow; red, black."""
    i = np.arange(256)
    none, full = np.zeros(256, int), np.full(256, 255)
    parts = [
        (none, none, i), (none, i, full), (none, full, 256 - i), (i, full, none),
        (256 - i, none, none),
    ]  # fmt: skip
    colors = np.concatenate([np.stack(part, axis=1) for part in parts])
    return np.clip(colors, 0, 255).astype(np.uint8)


def _squares(colors, side):
    """Squares with gaps of a pixel on black, in a white frame; as they are for side 1."""
    height, width = colors.shape[:2]
    gap = int(side > 1)
    out = np.zeros((height * (side + gap) + gap, width * (side + gap) + gap, 3), np.uint8)
    for y in range(side):
        for x in range(side):
            out[gap + y :: side + gap, gap + x :: side + gap] = colors
    return cv2.copyMakeBorder(out, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(255, 255, 255))
