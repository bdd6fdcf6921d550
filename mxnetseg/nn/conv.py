"""Convolution units: convolution, norm, activation."""

from mxnet.gluon import nn

from .activation import Activation, PReLU
from .norm import norm_layer


def conv2d(
    in_channels, channels, kernel=1, stride=1, padding=None, dilation=1, groups=1, bias=True
):
    """A plain convolution, biased, with the padding that keeps the size unless told otherwise.

    ``kernel``, ``stride``, ``padding`` and ``dilation`` are an int or (rows, columns).
    """
    if padding is None:
        padding = tuple(d * (k - 1) // 2 for k, d in zip(_pair(kernel), _pair(dilation)))
    return nn.Conv2D(
        channels,
        kernel,
        strides=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        use_bias=bias,
        in_channels=in_channels,
    )


def _pair(value):
    return value if isinstance(value, tuple) else (value, value)


def sequential(*blocks):
    """A HybridSequential of ``blocks``; None is left out."""
    out = nn.HybridSequential()
    out.add(*(block for block in blocks if block is not None))
    return out


def numbered(block, name, layers, first=1):
    """Make ``layers`` the attributes ``name1``, ``name2`` ... of ``block``; returns them as a list.

    For names that published parameters have; what may have any name is a :func:`sequential`.
    """
    layers = list(layers)
    for number, layer in enumerate(layers, start=first):
        setattr(block, f"{name}{number}", layer)
    return layers


def pre_activated(in_channels, channels, kernel=1, groups=1, before=None):
    """Batch norm -> ReLU -> convolution without bias, of the same size; behind ``before``."""
    return sequential(
        before,
        norm_layer(in_channels),
        Activation("relu"),
        conv2d(in_channels, channels, kernel, groups=groups, bias=False),
    )


def activation(name, channels=1):
    """The block for an activation's name, ``None`` for none; "prelu" has ``channels`` slopes."""
    if name is None or name == "none":
        return None
    return PReLU(channels) if name == "prelu" else Activation(name)


def conv_unit(
    in_channels,
    channels,
    kernel=1,
    stride=1,
    dilation=1,
    groups=1,
    bias=False,
    act="relu",
    before=None,
):
    """Convolution -> norm -> activation as a sequence, behind ``before``: children are numbers.

    Networks whose published parameters are ``x.0.weight``, ``x.1.gamma`` have this one, those with
    ``x.conv.weight``, ``x.bn.gamma`` have :class:`ConvUnit`.
    """
    return sequential(
        before,
        conv2d(in_channels, channels, kernel, stride, None, dilation, groups, bias),
        norm_layer(channels),
        activation(act, channels),
    )


class ConvUnit(nn.HybridBlock):
    """Convolution -> batch norm -> activation; the convolution has no bias unless asked for.

    Args:
        in_channels, channels: C of the input and the output (N, C, H, W).
        kernel: an int or (rows, columns). stride, dilation, groups: as usual.
        padding: by default the one that keeps the size at stride 1.
        norm: batch norm, or none at all.
        act: name of the activation (see ``activation.py``), ``None`` for none.
    """

    def __init__(
        self,
        in_channels,
        channels,
        kernel=1,
        stride=1,
        padding=None,
        dilation=1,
        groups=1,
        bias=False,
        norm=True,
        act="relu",
    ):
        super().__init__()
        self.conv = conv2d(in_channels, channels, kernel, stride, padding, dilation, groups, bias)
        self.bn = norm_layer(channels) if norm else None
        self.act = activation(act)

    def hybrid_forward(self, F, x):
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return x if self.act is None else self.act(x)


class SeparableConv(nn.HybridBlock):
    """Depthwise k x k, then pointwise 1 x 1 with norm and activation.

    ``pattern`` is "mobilenet" (norm and activation behind the depthwise convolution too) or
    "xception" (the depthwise convolution is bare).
    """

    def __init__(
        self,
        in_channels,
        channels,
        kernel=3,
        stride=1,
        padding=None,
        dilation=1,
        act="relu",
        pattern="mobilenet",
    ):
        super().__init__()
        depthwise = dict(
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=in_channels,
            bias=False,
        )
        if pattern == "mobilenet":
            self.depthwise = ConvUnit(in_channels, in_channels, act=act, **depthwise)
        else:
            self.depthwise = conv2d(in_channels, in_channels, **depthwise)
        self.pointwise = ConvUnit(in_channels, channels, act=act)

    def hybrid_forward(self, F, x):
        return self.pointwise(self.depthwise(x))
