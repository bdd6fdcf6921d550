"""ResNeSt, DenseNet and Xception-65 against GluonCV: maps, gradients, running statistics."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import backbones

# MXNetSeg's pieces of a DenseNet: first and end index among GluonCV's features.
PIECES = {"stem": (0, 4), "layer1": (4, 5), "layer2": (5, 7), "layer3": (7, 9), "layer4": (9, 13)}


def _resnest(zoo, name, output_stride):
    from gluoncv.nn.dropblock import DropBlock

    net = getattr(zoo, name)(pretrained=False, dilated=output_stride == 8)
    # its masks fit no input but 224 x 224
    net.apply(lambda b: setattr(b, "drop_prob", 0) if isinstance(b, DropBlock) else None)

    def maps(x):
        c1 = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
        c2 = net.layer2(c1)
        c3 = net.layer3(c2)
        return c1, c2, c3, net.layer4(c3)

    return net, maps, str


def _densenet(zoo, name, output_stride):
    net = getattr(zoo, name)(pretrained=False)

    def maps(x):
        out = []
        for first, end in PIECES.values():
            for i in range(first, end):
                x = net.features[i](x)
            out.append(x)
        return tuple(out[1:])

    def our_name(name):
        if not name.startswith("features."):
            return name
        _, index, rest = name.split(".", 2)
        piece = next(p for p, (a, b) in PIECES.items() if a <= int(index) < b)
        return f"{piece}.{int(index) - PIECES[piece][0]}.{rest}"

    return net, maps, our_name


def _xception(zoo, name, output_stride):
    net = zoo.get_xcetption(output_stride=output_stride)

    def maps(x):
        x = net.relu(net.bn1(net.conv1(x)))
        x = net.relu(net.bn2(net.conv2(x)))
        c1 = net.relu(net.block1(x))
        c2 = net.block2(c1)
        c3 = net.midflow(net.block3(c2))
        x = net.relu(net.block20(c3))
        x = net.relu(net.bn3(net.conv3(x)))
        x = net.relu(net.bn4(net.conv4(x)))
        return c1, c2, c3, net.relu(net.bn5(net.conv5(x)))

    return net, maps, str


def _pair(name, output_stride, size):
    """(GluonCV's maps, its parameters by our names, our backbone with the same values)."""
    zoo = pytest.importorskip("gluoncv.model_zoo")
    build = {"r": _resnest, "d": _densenet, "x": _xception}[name[0]]
    theirs, maps, our_name = build(zoo, name, output_stride)
    mx.random.seed(0)
    theirs.initialize(mx.init.Xavier())
    maps(mx.nd.zeros((1, 3, *size)))  # settles the deferred shapes
    values = {our_name(n): p for n, p in theirs._collect_params_with_prefix().items()}
    ours = backbones.create(name, output_stride)
    ours.initialize()
    rng = np.random.RandomState(1)
    for n, p in ours._collect_params_with_prefix().items():
        value = values[n].data().asnumpy()
        if n.endswith(("gamma", "running_var")):
            value = rng.uniform(0.5, 1.5, value.shape)
        elif value.ndim == 1:
            value = rng.normal(0, 0.1, value.shape)
        values[n].set_data(mx.nd.array(value))
        p.set_data(mx.nd.array(value))
    return maps, values, ours


def _images(size):
    return mx.nd.array(np.random.RandomState(0).standard_normal((2, 3, *size)))


@pytest.mark.parametrize(
    "name, output_stride",
    [
        ("resnest14", 8),
        ("resnest26", 8),
        ("resnest26", 32),
        ("densenet121", 32),
        ("xception65", 8),
        ("xception65", 16),
        ("xception65", 32),
        pytest.param("resnest50", 8, marks=pytest.mark.slow),
        pytest.param("resnest101", 32, marks=pytest.mark.slow),
        pytest.param("resnest200", 8, marks=pytest.mark.slow),
        pytest.param("resnest269", 32, marks=pytest.mark.slow),
        pytest.param("densenet161", 32, marks=pytest.mark.slow),
        pytest.param("densenet169", 32, marks=pytest.mark.slow),
        pytest.param("densenet201", 32, marks=pytest.mark.slow),
    ],
)
def test_maps(name, output_stride):
    size = (53, 75)
    maps, _, ours = _pair(name, output_stride, size)
    x = _images(size)
    want = maps(x)
    for hybrid in (False, True):
        ours.hybridize(hybrid)
        for got, expected, channels, stride in zip(ours(x), want, ours.channels, ours.strides):
            assert got.shape[1] == channels
            if ours.rounds_up:
                assert got.shape[2:] == tuple(-(-n // stride) for n in size)
            expected = expected.asnumpy()
            np.testing.assert_allclose(got.asnumpy(), expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("name, output_stride", [("resnest14", 8), ("densenet121", 32)])
def test_training(name, output_stride, hybrid):
    """In double precision: the gradient of a bias in front of a norm is 0, and all else noise."""
    size = (64, 80)
    maps, values, ours = _pair(name, output_stride, size)
    for p in (*values.values(), *ours._collect_params_with_prefix().values()):
        p.cast("float64")
    ours.hybridize(hybrid)
    x = _images(size).astype("float64")
    parameters = ours._collect_params_with_prefix()
    for run in (maps, ours):
        with autograd.record():
            loss = sum((y * mx.nd.cos(y)).mean() for y in run(x))
        loss.backward()
    trained = [n for n, p in parameters.items() if p.grad_req != "null"]
    largest = max(values[n].grad().abs().max().asscalar() for n in trained)
    for n, p in parameters.items():
        if n in trained:
            got, want = p.grad().asnumpy(), values[n].grad().asnumpy()
            # what a norm cancels is rounding noise
            scale = max(np.abs(want).max(), 1e-3 * largest)
        else:
            got, want = p.data().asnumpy(), values[n].data().asnumpy()
            scale = np.abs(want).max()
        assert np.abs(got - want).max() <= 1e-3 * scale, n
