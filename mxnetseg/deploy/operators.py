"""MXNet's operators in ONNX: a small function for each, in one table.

A function gets the builder, the node and its inputs as Values, and returns the name of what it
made, or a list of names. The results have MXNet's shapes.
"""

import math

import numpy as np

from . import shaping
from .builder import adder, unsupported

OPERATORS = {}
_register = adder(OPERATORS)


def convert(builder, node, inputs):
    """The ONNX operators of an MXNet node; names of its outputs.

    Raises:
        MXNetSegError: there is no conversion for it.
    """
    function = OPERATORS.get(node.op) or shaping.OPERATORS.get(node.op)
    if function is None:
        raise unsupported(node)
    names = function(builder, node, *inputs)
    return names if isinstance(names, list) else [names]


# --- element by element ------------------------------------------------------------------------

_ONE_TO_ONE = {
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "negative": "Neg",
    "floor": "Floor",
    "ceil": "Ceil",
    "erf": "Erf",
    "softsign": "Softsign",
    "elemwise_add": "Add",
    "broadcast_add": "Add",
    "elemwise_sub": "Sub",
    "broadcast_sub": "Sub",
    "elemwise_mul": "Mul",
    "broadcast_mul": "Mul",
    "elemwise_div": "Div",
    "broadcast_div": "Div",
    "broadcast_maximum": "Max",
    "broadcast_minimum": "Min",
    "add_n": "Sum",
}


def _one_to_one(b, node, *inputs):
    return b.add(_ONE_TO_ONE[node.op], *inputs)


OPERATORS.update(dict.fromkeys(_ONE_TO_ONE, _one_to_one))

# (operator, whether the number comes first)
_SCALAR = {
    "_plus_scalar": ("Add", False),
    "_minus_scalar": ("Sub", False),
    "_rminus_scalar": ("Sub", True),
    "_mul_scalar": ("Mul", False),
    "_div_scalar": ("Div", False),
    "_rdiv_scalar": ("Div", True),
    "_maximum_scalar": ("Max", False),
    "_minimum_scalar": ("Min", False),
    "_power_scalar": ("Pow", False),
}


def _with_scalar(b, node, x):
    operator, first = _SCALAR[node.op]
    number = b.scalar(node.attrs["scalar"], x.dtype)
    return b.add(operator, number, x) if first else b.add(operator, x, number)


OPERATORS.update(dict.fromkeys(_SCALAR, _with_scalar))

_COMPARISONS = {
    "broadcast_equal": "Equal",
    "broadcast_greater": "Greater",
    "broadcast_greater_equal": "GreaterOrEqual",
    "broadcast_lesser": "Less",
    "broadcast_lesser_equal": "LessOrEqual",
}


def _comparison(b, node, x, y):
    return b.cast(b.add(_COMPARISONS[node.op], x, y), x.dtype)  # MXNet gives 0 and 1


OPERATORS.update(dict.fromkeys(_COMPARISONS, _comparison))


@_register("Dropout", "BlockGrad", "_copy")
def _identity(b, node, x):
    return x.name


@_register("square")
def _square(b, node, x):
    return b.add("Mul", x, x)


@_register("clip")
def _clip(b, node, x):
    limits = (b.scalar(node.attrs[key], x.dtype) for key in ("a_min", "a_max"))
    return b.add("Clip", x, *limits)


@_register("Cast")
def _cast(b, node, x):
    return b.cast(x, node.attrs["dtype"])


@_register("Activation")
def _activation(b, node, x):
    names = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus"}
    names["softsign"] = "Softsign"
    kind = node.attrs["act_type"]
    if kind not in names:
        raise unsupported(node, f"act_type {kind}")
    return b.add(names[kind], x)


@_register("LeakyReLU")
def _leaky_relu(b, node, x, slopes=None):
    kind, slope = node.attrs.get("act_type", "leaky"), float(node.attrs.get("slope", 0.25))
    if kind == "leaky":
        return b.add("LeakyRelu", x, alpha=slope)
    if kind == "elu":
        return b.add("Elu", x, alpha=slope)
    if kind == "prelu":
        spread = b.integers(-1, *(1 for _ in x.dims[2:]))
        return b.add("PRelu", x, b.add("Reshape", slopes, spread))
    if kind == "gelu" and b.opset >= 20:
        return b.add("Gelu", x)
    if kind == "gelu":
        share = b.add("Erf", b.add("Mul", x, b.scalar(math.sqrt(0.5))))
        half = b.add("Mul", x, b.scalar(0.5))
        return b.add("Mul", half, b.add("Add", share, b.scalar(1)))
    raise unsupported(node, f"act_type {kind}")


# --- layers ------------------------------------------------------------------------------------


@_register("Convolution")
def _convolution(b, node, x, weight, bias=None):
    return b.add("Conv", x, weight, bias, **_window(node, len(x.dims) - 2), **_groups(node))


@_register("Deconvolution")
def _deconvolution(b, node, x, weight, bias=None):
    axes = len(x.dims) - 2
    if node.attrs.get("target_shape"):
        raise unsupported(node, "target_shape")
    more = {"output_padding": _tuple(node, "adj", axes, 0), **_groups(node)}
    return b.add("ConvTranspose", x, weight, bias, **_window(node, axes), **more)


def _window(node, axes, dilated=True):
    """kernel_shape, strides, pads and dilations of a convolution or pooling."""
    pads = _tuple(node, "pad", axes, 0)
    found = {
        "kernel_shape": _tuple(node, "kernel", axes, 1),
        "strides": _tuple(node, "stride", axes, 1),
        "pads": pads + pads,
    }
    if dilated:
        found["dilations"] = _tuple(node, "dilate", axes, 1)
    return found


def _groups(node):
    return {"group": node.attrs.get("num_group", 1)}


def _tuple(node, key, axes, default):
    value = node.attrs.get(key) or (default,) * axes
    return list(value) if isinstance(value, tuple) else [value] * axes


@_register("Pooling")
def _pooling(b, node, x):
    kind = {"max": "Max", "avg": "Average"}.get(node.attrs.get("pool_type", "max"))
    if kind is None:
        raise unsupported(node, f"pool_type {node.attrs['pool_type']}")
    if node.attrs.get("global_pool"):
        return b.add(f"Global{kind}Pool", x)
    options = _window(node, len(x.dims) - 2, dilated=False)
    if kind == "Average":
        options["count_include_pad"] = int(node.attrs.get("count_include_pad", True) is not False)
    convention = node.attrs.get("pooling_convention", "valid")
    if convention == "full" and _may_overhang(options):
        options["ceil_mode"] = 1
    elif convention != "valid":
        raise unsupported(node, f"pooling_convention {convention}")
    return b.add(f"{kind}Pool", x, **options)


def _may_overhang(window):
    """Whether the last window of a pooling may reach over the edge as MXNet has it.

    ONNX leaves windows out that begin behind the last pixel; what lies outside may not count.
    """
    sizes = zip(window["pads"], window["strides"], window["kernel_shape"])
    return not window.get("count_include_pad") and all(p + s <= k for p, s, k in sizes)


@_register("BatchNorm")
def _batch_norm(b, node, x, gamma, beta, mean, variance):
    if node.attrs.get("axis", 1) != 1:
        raise unsupported(node, f"axis {node.attrs['axis']}")
    if node.attrs.get("fix_gamma", True):
        gamma = b.constant(np.ones(gamma.dims, np.float32))
    epsilon = float(node.attrs.get("eps", 1e-3))
    return b.add("BatchNormalization", x, gamma, beta, mean, variance, epsilon=epsilon)


@_register("LayerNorm")
def _layer_norm(b, node, x, gamma, beta):
    axis, epsilon = node.attrs.get("axis", -1), float(node.attrs.get("eps", 1e-5))
    if axis not in (-1, len(x.dims) - 1):
        raise unsupported(node, f"axis {axis}")
    return b.add("LayerNormalization", x, gamma, beta, axis=-1, epsilon=epsilon)


@_register("FullyConnected")
def _fully_connected(b, node, x, weight, bias=None):
    if node.attrs.get("flatten", True):
        flat = x if len(x.dims) == 2 else b.add("Flatten", x, axis=1)
        return b.add("Gemm", flat, weight, bias, transB=1)
    y = b.add("MatMul", x, b.add("Transpose", weight, perm=[1, 0]))
    return y if bias is None else b.add("Add", y, bias)


@_register("softmax")
def _softmax(b, node, x):
    if node.attrs.get("temperature") is not None:
        raise unsupported(node, "temperature")
    return b.add("Softmax", x, axis=node.attrs.get("axis", -1))


# --- products ----------------------------------------------------------------------------------


@_register("batch_dot")
def _batch_dot(b, node, x, y):
    return b.add("MatMul", *_transposed(b, node, x, y))


def _transposed(b, node, *pair):
    """Both factors, their last two axes swapped where the node says so."""
    for key, value in zip(("transpose_a", "transpose_b"), pair):
        axes = list(range(len(value.dims)))
        swapped = [*axes[:-2], axes[-1], axes[-2]]
        yield b.add("Transpose", value, perm=swapped) if node.attrs.get(key) else value


@_register("dot")
def _dot(b, node, x, y):
    """The last axis of x with the first of y."""
    for key, value in (("transpose_a", x), ("transpose_b", y)):
        if node.attrs.get(key) and len(value.dims) != 2:
            raise unsupported(node, f"{key} and {len(value.dims)} axes")
    left, right = _transposed(b, node, x, y)
    if len(y.dims) <= 2:
        return b.add("MatMul", left, right)
    flat = b.add("Reshape", right, b.shape(b.size(y, 0), -1))
    rows = b.size(x, 1 if node.attrs.get("transpose_a") else 0)
    rows = [rows] if len(x.dims) == 2 else [b.size(x, k) for k in range(len(x.dims) - 1)]
    shape = b.shape(*rows, *(b.size(y, k) for k in range(1, len(y.dims))))
    return b.add("Reshape", b.add("MatMul", left, flat), shape)


# --- reductions --------------------------------------------------------------------------------


@_register("sum", "mean", "max", "min")
def _reduction(b, node, x):
    if node.attrs.get("exclude"):
        raise unsupported(node, "exclude")
    axes = node.attrs.get("axis")
    keep = bool(node.attrs.get("keepdims", False))
    if axes in (None, ()):
        y = reduce(b, node.op, x, range(len(x.dims)), keep=True)
        # MXNet has no tensors without axes
        return y if keep else b.add("Reshape", y, b.integers(1))
    axes = [axes] if isinstance(axes, int) else axes
    everything = len(axes) == len(x.dims)
    y = reduce(b, node.op, x, axes, keep or everything)
    return b.add("Reshape", y, b.integers(1)) if everything and not keep else y


def reduce(b, kind, x, axes, keep):
    """A sum, mean, max or min over axes; where ONNX wants them depends on the opset."""
    operator, axes = f"Reduce{kind.title()}", list(axes)
    if kind == "sum" or b.opset >= 18:
        return b.add(operator, x, b.integers(*axes), keepdims=int(keep))
    return b.add(operator, x, axes=axes, keepdims=int(keep))


# --- resampling --------------------------------------------------------------------------------


@_register("_contrib_BilinearResize2D")
def _bilinear_resize(b, node, x, like=None):
    if like is not None:
        sizes = [b.size(like, axis) for axis in (2, 3)]
    elif "scale_height" in node.attrs:
        factors = (node.attrs["scale_height"], node.attrs["scale_width"])
        if any(factor != int(factor) for factor in factors):
            raise unsupported(node, f"scale_height {factors[0]}")
        sizes = [
            b.add("Mul", b.size(x, axis), b.integers(int(factor)))
            for axis, factor in zip((2, 3), factors)
        ]
    else:
        sizes = [b.integers(node.attrs[key]) for key in ("height", "width")]
    return resize(b, x, sizes, node.attrs.get("align_corners", True))


def resize(b, x, sizes, align_corners, channels_last=False):
    """``x`` bilinearly at (rows, columns), each int64 (1,).

    Args:
        channels_last: x is (N, H, W, C).
    """
    outer, channels = b.size(x, 0), b.size(x, 3 if channels_last else 1)
    shape = (outer, *sizes, channels) if channels_last else (outer, channels, *sizes)
    mode = "align_corners" if align_corners else "half_pixel"
    return b.add(
        "Resize", x, None, None, b.shape(*shape), mode="linear", coordinate_transformation_mode=mode
    )


@_register("_contrib_AdaptiveAvgPooling2D")
def _adaptive_pool(b, node, x):
    """Cell i of k covers rows floor(i n / k) to ceil((i + 1) n / k) - 1: two matrix products."""
    bins = node.attrs.get("output_size") or 1
    bins = (bins, bins) if isinstance(bins, int) else tuple(bins) * (2 // len(bins))
    if bins == (1, 1):
        return b.add("GlobalAveragePool", x)
    sizes = x.dims[2:]
    if None not in sizes and all(n % k == 0 for n, k in zip(sizes, bins)):
        cell = [n // k for n, k in zip(sizes, bins)]
        return b.add("AveragePool", x, kernel_shape=cell, strides=cell)
    rows, columns = (_cells(b, b.size(x, axis), k) for axis, k in zip((2, 3), bins))
    return b.add("MatMul", rows, b.add("MatMul", x, b.add("Transpose", columns, perm=[1, 0])))


def _cells(b, size, count):
    """Weights (count, size) of adaptive average pooling along an axis."""
    cell = np.arange(count, dtype=np.int64)[:, None]
    first = b.ratio(b.add("Mul", size, b.constant(cell)), count)
    behind = b.ratio(b.add("Mul", size, b.constant(cell + 1)), count, up=True)
    index = shaping.indices(b, size)
    inside = b.add("And", b.add("GreaterOrEqual", index, first), b.add("Less", index, behind))
    width = b.cast(b.add("Sub", behind, first), "float32")
    return b.add("Div", b.cast(inside, "float32"), width)


@_register("BilinearSampler")
def _bilinear_sampler(b, node, x, grid):
    grid = b.add("Transpose", grid, perm=[0, 2, 3, 1])
    mode = "linear" if b.opset >= 20 else "bilinear"
    return b.add("GridSample", x, grid, mode=mode, padding_mode="zeros", align_corners=1)
