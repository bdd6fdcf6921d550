"""Receptive fields from the graph: which pixels a value of a layer can depend on.

Position i of a map sees, along an axis, the pixels ``start + i * stride`` ... ``end + i * stride``
(Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, Distill 2019). Where
paths meet, the union counts: the least start and the largest end. Paths that see the whole image
(global pooling and what is gated by it, attention, sampling at computed places) are kept apart:
they are said, but do not swallow the local field.

Bilinear resizing reads two neighbours around a place between them, taken here as a kernel of two
centred there: behind it start and end are off by up to half of the coarser stride. All else is
exact away from the borders.
"""

from dataclasses import dataclass, replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..columns import aligned
from ..graph import from_sizes
from ..layers import trace

ROWS, COLUMNS = 0, 1


class Field(NamedTuple):
    """What position i of a map sees along an axis: pixels start + i stride ... end + i stride."""

    start: float
    end: float
    stride: float

    @property
    def size(self):
        return self.end - self.start + 1

    @property
    def center(self):
        """Of position 0."""
        return (self.start + self.end) / 2

    def window(self, kernel, stride=1, padding=0, dilation=1):
        """Behind a sliding window."""
        start = self.start - padding * self.stride
        end = self.end + ((kernel - 1) * dilation - padding) * self.stride
        return Field(start, end, self.stride * stride)

    def resized(self, ratio, first, taps):
        """Behind reading ``taps`` neighbours around first + i ratio."""
        reach = (taps - 1) / 2
        return Field(
            self.start + (first - reach) * self.stride,
            self.end + (first + reach) * self.stride,
            self.stride * ratio,
        )


class View(NamedTuple):
    """What the values of a node see.

    Attributes:
        axes: {ROWS or COLUMNS: (dimension of the values, Field)}; none where places are mixed.
        everything: whether there is a path from the whole image.
    """

    axes: Dict[int, Tuple[int, Field]]
    everything: bool = False


NOTHING = View({})


@dataclass(frozen=True)
class Row:
    """The receptive field of a layer.

    Attributes:
        name, kind: as in :mod:`~mxnetseg.complexity`. output: shape.
        size, stride, offset: (rows, columns) in pixels; offset: of the centre of the field of
            position 0. None where only paths from the whole image lead here.
        everything: whether there is a path from the whole image.
    """

    name: str
    kind: str
    output: Tuple[int, ...]
    size: Optional[Tuple[float, float]]
    stride: Optional[Tuple[float, float]]
    offset: Optional[Tuple[float, float]]
    everything: bool


def table(net, height, width) -> List[Row]:
    """The receptive field of each layer that the main output depends on, in order of running.

    A layer's is that of the last thing it computes. The last row is the output, "main".

    Raises:
        UsageError: the network does not take such images.
    """
    traced = trace(net, height, width)
    views = of_nodes(traced.graph)
    kinds = {path: type(block).__name__ for path, block in traced.blocks.items()}
    last: Dict[str, Any] = {}
    for node, owner in zip(traced.graph.nodes, traced.owners):
        if node.op is not None and node.index not in views.from_sizes:
            last.pop(owner, None)
            last[owner] = node
    rows = [
        _row(name, kinds.get(name, ""), node, views.seen[node.index]) for name, node in last.items()
    ]
    head = traced.graph.nodes[traced.graph.heads[0].node]
    return [*rows, _row("main", "output", head, views.seen[head.index])]


def grouped(rows, depth=None):
    """One row for all that lies deeper than ``depth`` names: the last of them; None: as it is."""
    if depth is None:
        return list(rows)
    last: Dict[str, Row] = {}
    for row in rows:
        name = ".".join(row.name.split(".")[:depth])
        last.pop(name, None)
        last[name] = row
    return [replace(row, name=name) for name, row in last.items()]


def find(rows, name):
    """The row of a layer: its own, or that of the last of its parts; None if there is none."""
    name = name.partition(":")[0]
    inside = [r for r in rows if r.name == name or r.name.startswith(f"{name}.")]
    return inside[-1] if inside else None


def as_text(rows):
    """A table."""
    table = [("layer", "kind", "output", "size", "stride", "offset", "")]
    for row in rows:
        numbers = [_pair_text(v) for v in (row.size, row.stride, row.offset)]
        everything = "and everything" if row.size else "everything"
        output = "x".join(map(str, row.output[1:]))
        last = everything if row.everything else ""
        table.append((row.name or "-", row.kind, output, *numbers, last))
    return "\n".join(
        [
            *aligned(table, right=0),
            "",
            "In pixels, rows x columns. size: of the field away from the borders. offset: of the "
            "centre of the",
            "field of the first value. everything: global pooling, attention or computed sampling "
            "leads here.",
        ]
    )


def _pair_text(pair):
    if pair is None:
        return "-"
    return f"{pair[0]:g}" if pair[0] == pair[1] else f"{pair[0]:g}x{pair[1]:g}"


def _row(name, kind, node, view):
    fields = [view.axes[axis][1] for axis in (ROWS, COLUMNS) if axis in view.axes]
    if len(fields) < 2:
        return Row(name, kind, node.shapes[0], None, None, None, view.everything)
    size, stride, offset = (
        tuple(round(float(getattr(f, what)), 3) for f in fields)
        for what in ("size", "stride", "center")
    )
    return Row(name, kind, node.shapes[0], size, stride, offset, view.everything)


class Views(NamedTuple):
    """What a graph's nodes see.

    Attributes:
        seen: {number of a node: View}. from_sizes: numbers of those that depend on sizes alone.
    """

    seen: Dict[int, View]
    from_sizes: Any


def of_nodes(graph):
    """The Views of a graph with shapes, whose images are the variable "data" (N, C, H, W)."""
    constant = from_sizes(graph)
    seen: Dict[int, View] = {}
    for node in graph.nodes:
        if node.op is None:
            pixel = Field(0, 0, 1)
            images = View({ROWS: (2, pixel), COLUMNS: (3, pixel)})
            seen[node.index] = images if node.name == "data" else NOTHING
        elif node.index in constant:
            seen[node.index] = NOTHING
        else:
            rule = RULES.get(node.op, _element_wise)
            inputs = [seen[source.index] for source in graph.sources(node)]
            seen[node.index] = rule(_Step(node, inputs, graph.input_shapes(node), constant))
    return Views(seen, constant)


# --- what operators do --------------------------------------------------------------------------


class _Step(NamedTuple):
    """A node, what its inputs see, their shapes; the nodes that depend on sizes alone."""

    node: Any
    views: List[View]
    shapes: List[Tuple[int, ...]]
    from_sizes: Any

    @property
    def out(self):
        return self.node.shapes[0]

    def attr(self, name, default=None):
        return self.node.attrs.get(name, default)


def _mixed(*views):
    """Behind something that mixes places: whoever sees anything now sees everything."""
    return View({}, any(v.axes or v.everything for v in views))


def _element_wise(step):
    """One value of the output from one place of each input; also the rule for unknown operators."""
    axes: Dict[int, Tuple[int, Field]] = {}
    rank, everything = len(step.out), False
    for view, shape in zip(step.views, step.shapes):
        everything |= view.everything
        for axis, (dim, field) in view.axes.items():
            if len(shape) != rank or shape[dim] != step.out[dim]:
                everything = True  # a place of it is seen from everywhere
                continue
            known = axes.get(axis)
            if known is not None:
                field = _union(known[1], field, step.out[dim])
            axes[axis] = (dim, field)
    return View(axes, everything)


def _union(a, b, length):
    """What is seen by two paths together.

    Enlarged maps differ a little in stride where their ends were aligned. So the union is that of
    the position in the middle, and its stride that of the path without enlarging, a whole number.
    """
    stride = min((a.stride, b.stride), key=lambda s: abs(s - round(s)))
    middle = (length - 1) / 2
    start = min(f.start + middle * f.stride for f in (a, b))
    end = max(f.end + middle * f.stride for f in (a, b))
    return Field(start - middle * stride, end - middle * stride, stride)


def _each_axis(step, change):
    """The first input's axes, each through ``change(0 for rows or 1 for columns, Field)``."""
    view = step.views[0]
    axes = {axis: (dim, change(axis, field)) for axis, (dim, field) in view.axes.items()}
    return View(axes, view.everything)


def _pair(value, default):
    return tuple(value) if value else (default, default)


def _convolution(step):
    kernel = step.attr("kernel")
    if len(kernel) != 2:
        return _mixed(*step.views[:1])
    stride, dilation = _pair(step.attr("stride"), 1), _pair(step.attr("dilate"), 1)
    pad = _pair(step.attr("pad"), 0)
    return _each_axis(
        step, lambda a, field: field.window(kernel[a], stride[a], pad[a], dilation[a])
    )


def _deconvolution(step):
    kernel, stride = step.attr("kernel"), _pair(step.attr("stride"), 1)
    pad = _pair(step.attr("pad"), 0)

    def change(a, field):
        taps = -(-kernel[a] // stride[a])
        return field.resized(1 / stride[a], (pad[a] - (kernel[a] - 1) / 2) / stride[a], taps)

    return _each_axis(step, change)


def _pooling(step):
    if step.attr("global_pool"):
        return _mixed(*step.views)
    return _convolution(step)


def _adaptive_pooling(step):
    shape = step.shapes[0]
    if step.out[2:] == (1, 1):
        return _mixed(*step.views)

    def change(a, field):
        return _binned(field, shape[2 + a], step.out[2 + a])

    return _each_axis(step, change)


def _transpose(step):
    rank = len(step.out)
    order = list(step.attr("axes") or range(rank)[::-1])
    view = step.views[0]
    axes = {axis: (order.index(dim), field) for axis, (dim, field) in view.axes.items()}
    return View(axes, view.everything)


def _reshape(step):
    """Places stay apart where the last dimensions, which they are, keep their lengths."""
    view, before, after = step.views[0], step.shapes[0], step.out
    axes = {}
    for axis, (dim, field) in view.axes.items():
        from_end = len(before) - dim
        if from_end > len(after) or before[dim:] != after[len(after) - from_end :]:
            return _mixed(view)
        axes[axis] = (len(after) - from_end, field)
    return View(axes, view.everything)


def _reduced(step):
    """Sums, means and the like over some dimensions."""
    view, rank = step.views[0], len(step.shapes[0])
    axis = step.attr("axis", ())
    over = {a % rank for a in ((axis,) if isinstance(axis, int) else axis or range(rank))}
    if step.attr("exclude"):
        over = set(range(rank)) - over
    axes, lost = {}, False
    for which, (dim, field) in view.axes.items():
        if dim in over:
            lost = True
        else:
            shift = 0 if step.attr("keepdims") else sum(o < dim for o in over)
            axes[which] = (dim - shift, field)
    return View(axes, view.everything or lost)


def _softmax(step):
    view = step.views[0]
    axis = step.attr("axis", -1) % len(step.out)
    axes = {which: (dim, field) for which, (dim, field) in view.axes.items() if dim != axis}
    return View(axes, view.everything or len(axes) < len(view.axes))


def _concat(step):
    dim = step.attr("dim", 1)
    if any(d == dim for view in step.views for d, _ in view.axes.values()):
        return _mixed(*step.views)
    cut = [(*s[:dim], step.out[dim], *s[dim + 1 :]) for s in step.shapes]
    return _element_wise(step._replace(shapes=cut))


def _stack(step):
    rank = len(step.out)
    axis = step.attr("axis", 0) % rank
    moved = [
        View({w: (dim + (dim >= axis), field) for w, (dim, field) in v.axes.items()}, v.everything)
        for v in step.views
    ]
    return _element_wise(step._replace(views=moved, shapes=[step.out] * len(moved)))


def _slice(step):
    view, axes = step.views[0], {}
    for axis, (dim, field) in view.axes.items():
        begin, stride = _begin(step, dim), _at(step.attr("step"), dim) or 1
        if begin < 0:
            begin += step.shapes[0][dim]
        shift = begin * field.stride
        axes[axis] = (dim, Field(field.start + shift, field.end + shift, field.stride * stride))
    return View(axes, view.everything)


def _begin(step, dim):
    if step.node.op == "slice_axis":
        return step.attr("begin") if step.attr("axis") % len(step.out) == dim else 0
    return _at(step.attr("begin"), dim) or 0


def _at(values, k):
    return values[k] if values and k < len(values) else None


def _padded(step):
    widths = step.attr("pad_width")
    view, axes = step.views[0], {}
    for axis, (dim, field) in view.axes.items():
        shift = -widths[2 * dim] * field.stride
        axes[axis] = (dim, Field(field.start + shift, field.end + shift, field.stride))
    return View(axes, view.everything)


def _dot(step):
    """A product with a matrix that follows from sizes is pooling along an axis; else all mixes."""
    known = [output.node in step.from_sizes for output in step.node.inputs]
    if known[0] == known[1]:
        return _mixed(*step.views)
    number = 1 if known[0] else 0
    view, shape = step.views[number], step.shapes[number]
    contracted = 0 if number else len(shape) - 1
    if len(step.out) != len(shape):
        return _mixed(view)

    axes = {}
    for axis, (dim, field) in view.axes.items():
        changed = _binned(field, shape[dim], step.out[dim]) if dim == contracted else field
        axes[axis] = (dim, changed)
    return View(axes, view.everything)


def _binned(field, before, after):
    """Behind averaging ``before`` values in ``after`` bins."""
    return field.window(-(-before // after), before / after)


def _resizing(step):
    aligned, before = step.attr("align_corners", True), step.shapes[0]

    def change(a, field):
        n_in, n_out = before[2 + a], step.out[2 + a]
        if n_in == n_out:
            return field
        if aligned:
            return field.resized((n_in - 1) / max(n_out - 1, 1), 0, 2)
        return field.resized(n_in / n_out, n_in / n_out / 2 - 0.5, 2)

    if 1 in before[2:]:
        return _mixed(step.views[0])
    return _each_axis(step, change)


def _sampled(step):
    """Read at computed places: near its own, if the map was padded for it, and anywhere else."""
    view, shape = step.views[0], step.shapes[0]
    axes = {}
    for axis, (dim, field) in view.axes.items():
        shift = (shape[dim] - step.out[dim]) / 2 * field.stride
        axes[axis] = (dim, Field(field.start + shift, field.end + shift, field.stride))
    return View(axes, True)


def _all_mixed(step):
    return _mixed(*step.views)


def _repeated(step):
    axis = step.attr("axis")
    if axis is None or any(dim == axis for dim, _ in step.views[0].axes.values()):
        return _mixed(*step.views)
    return View(step.views[0].axes, step.views[0].everything)


def _first(step):
    return step.views[0]


def _like(step):
    """The first input's values, spread over the shape of the second."""
    return _element_wise(step._replace(views=[step.views[0], NOTHING]))


RULES = {
    "Convolution": _convolution,
    "Deconvolution": _deconvolution,
    "Pooling": _pooling,
    "_contrib_AdaptiveAvgPooling2D": _adaptive_pooling,
    "transpose": _transpose,
    "Reshape": _reshape,
    "reshape_like": _reshape,
    "expand_dims": _reshape,
    "Flatten": _reshape,
    "sum": _reduced,
    "mean": _reduced,
    "max": _reduced,
    "softmax": _softmax,
    "Concat": _concat,
    "stack": _stack,
    "slice": _slice,
    "slice_axis": _slice,
    "SliceChannel": _first,
    "Pad": _padded,
    "dot": _dot,
    "_contrib_BilinearResize2D": _resizing,
    "batch_dot": _all_mixed,
    "FullyConnected": _all_mixed,
    "take": _all_mixed,
    "BilinearSampler": _sampled,
    "repeat": _repeated,
    "LayerNorm": _first,
    "broadcast_like": _like,
    "BatchNorm": _first,
}
