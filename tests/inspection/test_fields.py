"""Receptive fields from the graph against what changes when a pixel does."""

import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn

from mxnetseg import models
from mxnetseg.inspection import fields
from mxnetseg.models import SegmentationModel
from mxnetseg.nn import conv2d, global_pool, resize_like


class Made(SegmentationModel):
    """A network of given layers, or of a function of them."""

    def __init__(self, *layers, function=None):
        super().__init__(2)
        self.body = nn.HybridSequential()
        self.body.add(*layers)
        self.function = function or (lambda F, net, x: net.body(x))

    def logits(self, F, x):
        return (self.function(F, self, x),)


def conv(*args, **options):
    return conv2d(2, 2, *args, **options)


def seen(net, size, axis):
    """bool (positions of the output, pixels) along an axis: what changes with a line of pixels."""
    net.upsample_outputs = False
    rng = np.random.RandomState(0)
    x = rng.normal(size=(1, net.in_channels, *size)).astype(np.float32)

    def run(values):
        return net.logits(mx.nd, mx.nd.array(values))[0].asnumpy()

    plain, found = run(x), []
    for pixel in range(size[axis]):
        changed = np.zeros(plain.shape, bool)
        for sign in (-40, 40):  # a maximum may hide one of them
            other = x.copy()
            line = (slice(None), slice(None), *([slice(None)] * axis), pixel)
            other[line] += sign * rng.uniform(0.5, 1, other[line].shape)
            changed |= run(other) != plain
        found.append(changed.any(axis=(0, 1, 3 - axis)))
    return np.array(found).T


def made(*layers, function=None):
    net = Made(*layers, function=function)
    net.in_channels = 2
    mx.random.seed(0)
    net.initialize(mx.init.Uniform(1.0))
    return net


SIZE = (45, 51)
WINDOWS = {
    "convolution": [conv(3)],
    "stride and padding": [conv(5, 2, 1), conv(3, 2)],
    "dilation": [conv(3, dilation=2), conv(3, 3, dilation=3, padding=1)],
    "even kernel": [conv(4, 2, 1), conv(2)],
    "two axes": [conv((1, 5), (1, 2), (0, 2)), conv((3, 1), padding=(1, 0))],
    "pooling": [nn.MaxPool2D(3, 2, 1), conv(3), nn.AvgPool2D(2, 2)],
    "transposed": [conv(3, 4), nn.Conv2DTranspose(2, 2, 2, in_channels=2)],
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_see_what_the_table_says(name):
    net = made(*WINDOWS[name])
    row = fields.table(net, *SIZE)[-1]
    assert row.name == "main" and not row.everything
    for axis in (0, 1):
        found = seen(net, SIZE, axis)
        inner = range(len(found) // 3, 2 * len(found) // 3)  # away from the borders
        assert len(inner) > 1
        for k in inner:
            pixels = np.flatnonzero(found[k])
            middle = row.offset[axis] + k * row.stride[axis]
            # a transposed convolution's positions see a pixel more or less, in turn
            slack = row.stride[axis] if name == "transposed" else 0
            assert abs(pixels[0] - (middle - (row.size[axis] - 1) / 2)) <= slack
            assert abs(pixels[-1] - (middle + (row.size[axis] - 1) / 2)) <= slack


def test_paths_that_meet_and_whole_images():
    def function(F, net, x):
        a, b, gate = net.body._children.values()
        y = F.concat(a(x), b(x) + F.relu(a(x)), dim=1)
        z = F.slice_axis(F.reshape(y, (0, -4, 2, 2, -2)), axis=1, begin=0, end=1)
        z = F.reshape(z, (0, -3, -2)) + F.slice_axis(y, axis=1, begin=2, end=4)
        return F.broadcast_mul(z, F.sigmoid(gate(global_pool(F, x))))

    net = made(conv((3, 5), 2, (1, 2)), conv((7, 1), 2, (3, 0)), conv(1), function=function)
    row = fields.table(net, *SIZE)[-1]
    assert (row.size, row.stride, row.offset) == ((7, 5), (2, 2), (0, 0)) and row.everything
    assert seen(net, SIZE, 0).all()  # through the gate


@pytest.mark.parametrize("align", (True, False))
def test_resized_maps_within_half_a_stride(align):
    def function(F, net, x):
        first, second = net.body._children.values()
        y = first(x)
        return resize_like(F, second(y), y, align)

    net = made(conv(3, 2), conv(3, 4), function=function)
    row = fields.table(net, 64, 80)[-1]
    assert not row.everything
    for axis in (0, 1):
        found = seen(net, (64, 80), axis)
        for k in range(len(found) // 3, 2 * len(found) // 3):
            pixels = np.flatnonzero(found[k])
            middle = row.offset[axis] + k * row.stride[axis]
            reach = (row.size[axis] - 1) / 2
            assert abs(pixels[0] - (middle - reach)) <= 4.01  # the coarse stride is 8
            assert abs(pixels[-1] - (middle + reach)) <= 4.01
    coarse = next(r for r in fields.table(net, 64, 80) if r.name == "body.1")
    assert coarse.size == (7, 7) and row.size == (15, 15)  # and one step of 8 more


def test_attention_sees_everything():
    def function(F, net, x):
        rows = F.reshape(net.body(x), (0, 0, -1))
        return F.reshape_like(F.batch_dot(F.batch_dot(rows, rows, transpose_b=True), rows), x)

    net = made(conv(1), function=function)
    *_, inner, row = fields.table(net, 16, 16)
    assert row.everything and row.size is None
    both = made(conv(1), function=lambda F, net, x: x + function(F, net, x))
    row = fields.table(both, 16, 16)[-1]
    assert row.everything and row.size == (1, 1)


def test_known_trunks():
    """The values of SANet's calculator: RegSeg's trunk, its own, and its branch with dilations."""

    def chain(field, layers):
        for kernel, stride, dilation in layers:
            field = field.window(kernel, stride, 0, dilation)
            yield int(field.size), field.stride, field

    pixel = fields.Field(0, 0, 1)
    layers = [(3, s, 1) for s in (2, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)]
    layers += [(3, 1, d) for d in (2, *[4] * 4, *[14] * 7)]
    sizes = [size for size, _, _ in chain(pixel, layers)]
    assert sizes == [3, 7, 15, 23, 39, 55, 71, 87, 103, 119, 151, 215, 343, 471, 599, 727, 1175,
                     1623, 2071, 2519, 2967, 3415, 3863]  # fmt: skip
    strides = (2, 2, 1, 1, 2, 1, 1, 1, 2, 1, 2, 1, 2, 1)
    *_, (size, stride, field) = chain(pixel, [(3, s, 1) for s in strides])
    assert (size, stride) == (415, 64)
    pools = [size for size, _, _ in chain(field, [(5, 2, 1), (9, 4, 1), (17, 8, 1)])]
    assert pools == [671, 1695, 9887]
    *_, (size, stride, field) = chain(pixel, [(3, s, 1) for s in strides[:8]])
    assert (size, stride) == (79, 8)
    branch = [size for size, _, _ in chain(field, [(3, 1, d) for d in (1, 2, 5, 7, 13)])]
    assert branch == [95, 127, 207, 319, 527]


def test_a_whole_trunk():
    """ResNet-18 by hand: 7 x 7 and pooling at 4, then four stages of four 3 x 3 convolutions."""
    net = models.create("fcn", 3, backbone="resnet18", output_stride=32, initialize=False)
    rows = {r.name: r for r in fields.table(net, 96, 96)}
    size, stride = 7 + 2 * 2, 4
    for stage in (1, 2, 3, 4):
        step = 1 if stage == 1 else 2
        size += 2 * stride + 3 * 2 * stride * step
        stride *= step
        row = rows[f"backbone.layer{stage}.1.relu2"]
        assert (row.size, row.stride, row.offset) == ((size,) * 2, (stride,) * 2, (0, 0))
    assert size == 435


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_a_field(name):
    net = models.create(name, 7, initialize=False)
    height, width = net.valid_size(128, 160)
    rows = fields.table(net, height, width)
    assert rows[-1].name == "main" and len(rows) > 10
    local = [r for r in rows if r.size]
    assert local and all(min(r.size) >= 1 and min(r.stride) >= 1 for r in local)
    if name != "setr":  # a transformer has nothing local
        assert rows[-1].size and abs(rows[-1].stride[0] - height / rows[-1].output[2]) < 0.5
