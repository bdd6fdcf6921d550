"""What each operator makes of its inputs' receptive fields: RULES; others are element-wise."""

from typing import Any, Dict, List, NamedTuple, Tuple

from .field import NOTHING, Field, View


class Step(NamedTuple):
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


def element_wise(step):
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
    return element_wise(step._replace(shapes=cut))


def _stack(step):
    rank = len(step.out)
    axis = step.attr("axis", 0) % rank
    moved = [
        View({w: (dim + (dim >= axis), field) for w, (dim, field) in v.axes.items()}, v.everything)
        for v in step.views
    ]
    return element_wise(step._replace(views=moved, shapes=[step.out] * len(moved)))


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
    return element_wise(step._replace(views=[step.views[0], NOTHING]))


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
