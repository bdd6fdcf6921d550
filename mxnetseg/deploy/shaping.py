"""MXNet's operators that move, cut, join and index tensors, in ONNX."""

import numpy as np

from .builder import adder, unsupported

OPERATORS = {}
_register = adder(OPERATORS)
END = np.iinfo(np.int64).max


# --- other shapes ------------------------------------------------------------------------------


@_register("Reshape")
def _reshape(b, node, x):
    if node.attrs.get("reverse"):
        raise unsupported(node, "reverse")
    return b.add("Reshape", x, b.shape(*_reshaped(b, x, node.attrs["shape"])))


def _reshaped(b, x, codes):
    """The sizes that MXNet's codes stand for: 0 an axis, -1 the rest, -2 all that is left, -3 two
    axes as one, -4 an axis in two. An axis that stays where it is is 0 in ONNX too."""
    sizes, axis, codes = [], 0, list(codes)

    def take(alone=False):
        nonlocal axis
        axis += 1
        known = x.dims[axis - 1]
        if known is None and alone and len(sizes) == axis - 1:
            return 0
        return b.size(x, axis - 1) if known is None else known

    while codes:
        code = codes.pop(0)
        if code == -2:
            while axis < len(x.dims):
                sizes.append(take(alone=True))
        elif code == -3:
            left, right = take(), take()
            both = all(isinstance(n, int) for n in (left, right))
            sizes.append(left * right if both else _product(b, left, right))
        elif code == -4:
            axis += 1
            sizes += [codes.pop(0), codes.pop(0)]
        elif code == 0:
            sizes.append(take(alone=True))
        else:
            axis += 1
            sizes.append(code)
    return sizes


def _product(b, *sizes):
    """int64 (1,) of numbers and of int64 (1,)."""
    left, right = (b.integers(n) if isinstance(n, int) else n for n in sizes)
    return b.add("Mul", left, right)


@_register("reshape_like")
def _reshape_like(b, node, x, like):
    begin, end = _range(node, "lhs", x)
    first, last = _range(node, "rhs", like)
    sizes = [b.size(x, k) for k in range(begin)]
    sizes += [b.size(like, k) for k in range(first, last)]
    sizes += [b.size(x, k) for k in range(end, len(x.dims))]
    return b.add("Reshape", x, b.shape(*sizes))


def _range(node, side, value):
    begin, end = (node.attrs.get(f"{side}_{key}") for key in ("begin", "end"))
    return begin or 0, len(value.dims) if end is None else end


@_register("Flatten")
def _flatten(b, node, x):
    return b.add("Flatten", x, axis=1)


@_register("transpose")
def _transpose(b, node, x):
    axes = node.attrs.get("axes") or range(len(x.dims))[::-1]
    return b.add("Transpose", x, perm=list(axes))


@_register("expand_dims")
def _expand_dims(b, node, x):
    return b.add("Unsqueeze", x, b.integers(node.attrs["axis"]))


@_register("broadcast_like")
def _broadcast_like(b, node, x, like):
    axes = range(len(x.dims))
    own, theirs = (node.attrs.get(key) or tuple(axes) for key in ("lhs_axes", "rhs_axes"))
    other = {axis % len(x.dims): source for axis, source in zip(own, theirs)}
    sizes = [b.size(like, other[k]) if k in other else b.size(x, k) for k in axes]
    return b.add("Expand", x, b.shape(*sizes))


# --- parts -------------------------------------------------------------------------------------


@_register("slice")
def _slice(b, node, x):
    begins, ends = node.attrs["begin"], node.attrs["end"]
    steps = node.attrs.get("step") or (None,) * len(begins)
    if any(step is not None and step < 1 for step in steps):
        raise unsupported(node, f"step {steps}")
    cuts = [(0 if a is None else a, END if e is None else e, s or 1)
            for a, e, s in zip(begins, ends, steps)]  # fmt: skip
    axes = [axis for axis, cut in enumerate(cuts) if cut != (0, END, 1)]
    if not axes:
        return x.name
    limits = ([cuts[axis][k] for axis in axes] for k in range(3))
    starts, stops, strides = (b.integers(*values) for values in limits)
    name = b.add("Slice", x, starts, stops, b.integers(*axes), strides)
    for axis, (begin, end, step) in enumerate(cuts):
        if end == END and begin >= 0:
            # by arithmetic: some maps are cut only to learn how large the result would be
            rest = b.add("Sub", b.size(x, axis), b.integers(begin))
            b.know_size(name, axis, b.ratio(rest, step, up=True))
    return name


@_register("slice_axis")
def _slice_axis(b, node, x):
    end = node.attrs.get("end")
    limits = (node.attrs["begin"], END if end is None else end, node.attrs["axis"])
    return b.add("Slice", x, *(b.integers(value) for value in limits))


@_register("SliceChannel")
def _split(b, node, x):
    axis, count = node.attrs.get("axis", 1), node.attrs["num_outputs"]
    options = {"num_outputs": count} if b.opset >= 18 else {}
    parts = b.add("Split", x, outputs=count, axis=axis, **options)
    parts = parts if count > 1 else [parts]
    if node.attrs.get("squeeze_axis"):
        parts = [b.add("Squeeze", part, b.integers(axis)) for part in parts]
    return parts


@_register("Concat")
def _concat(b, node, *maps):
    return b.add("Concat", *maps, axis=node.attrs.get("dim", 1))


@_register("stack")
def _stack(b, node, *maps):
    axis = node.attrs.get("axis", 0)
    parts = [b.add("Unsqueeze", x, b.integers(axis)) for x in maps]
    return b.add("Concat", *parts, axis=axis)


@_register("Pad")
def _pad(b, node, x):
    width = node.attrs["pad_width"]  # before, after, before, after ...
    value = b.scalar(node.attrs.get("constant_value", 0), x.dtype)
    mode = node.attrs["mode"]
    return b.add("Pad", x, b.integers(*width[::2], *width[1::2]), value, mode=mode)


# --- indices -----------------------------------------------------------------------------------


@_register("take")
def _take(b, node, x, index):
    """Indices are taken to lie within; ONNX Runtime stops where one does not."""
    return b.add("Gather", x, index, axis=node.attrs.get("axis", 0))


@_register("_contrib_arange_like")
def _arange_like(b, node, x):
    axis = node.attrs.get("axis")
    if axis is None or node.attrs.get("repeat", 1) != 1:
        raise unsupported(node, "repeat, or without axis")
    index = b.cast(indices(b, b.size(x, axis)), x.dtype)
    for operator, key, neutral in (("Mul", "step", 1), ("Add", "start", 0)):
        if node.attrs.get(key, neutral) != neutral:
            index = b.add(operator, index, b.scalar(node.attrs[key], x.dtype))
    return index


def indices(b, size):
    """0, 1, ... as int64 (size,); size is int64 (1,)."""
    stop = b.add("Squeeze", size, b.integers(0))
    return b.add("Range", b.scalar(0, "int64"), stop, b.scalar(1, "int64"))


@_register("ones_like", "zeros_like")
def _constant_like(b, node, x):
    value = b.scalar(1 if node.op == "ones_like" else 0, x.dtype)
    return b.add("Expand", value, b.shape(*(b.size(x, k) for k in range(len(x.dims)))))
