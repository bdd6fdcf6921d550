"""What the backbones promise beyond their originals."""

import math

import mxnet as mx
import pytest

from mxnetseg import backbones, models
from mxnetseg.errors import UsageError

# Without / with running statistics.
COUNTS = {
    "resnet18": (11176512, 11186112),
    "resnet34": (21284672, 21301696),
    "resnet50": (23631808, 23685312),
    "resnet101": (42623936, 42729664),
    "resnet152": (58267584, 58419392),
    "resnest14": (8562688, 8585024),
    "resnest26": (15020448, 15057184),
    "resnest50": (25434240, 25498816),
    "resnest101": (46226016, 46356128),
    "resnest200": (68152544, 68370976),
    "resnest269": (108880480, 109194912),
    "densenet121": (6953856, 7037504),
    "densenet161": (26472000, 26691936),
    "densenet169": (12484480, 12642880),
    "densenet201": (18092928, 18321984),
    "mobilenet_v2_1_0": (1811712, 1843264),
    "mobilenet_v2_0_75": (1037208, 1060872),
    "mobilenet_v2_0_5": (477088, 492864),
    "mobilenet_v2_0_25": (131352, 139240),
    "xception65": (37867312, 38052512),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(name):
    parameters = backbones.create(name).collect_params().values()
    sizes = {p: math.prod(p.shape) for p in parameters}
    assert sum(n for p, n in sizes.items() if p.grad_req != "null") == COUNTS[name][0]
    assert sum(sizes.values()) == COUNTS[name][1]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("name", ["densenet121", "resnest14", "xception65", "mobilenet_v2_0_25"])
def test_output_strides(name, output_stride):
    backbone = backbones.create(name, output_stride)
    backbone.initialize()
    maps = backbone(mx.nd.zeros((1, 3, 64, 96)))
    assert backbone.output_stride == output_stride
    for y, channels, stride in zip(maps, backbone.channels, backbone.strides):
        assert y.shape == (1, channels, 64 // stride, 96 // stride)
    with pytest.raises(UsageError, match="8, 16 or 32"):
        backbones.create(name, 4)


def test_densenet_states_its_smallest_input():
    backbone = backbones.create("densenet121")
    backbone.initialize()
    size = backbone.min_size
    assert backbone(mx.nd.zeros((1, 3, size, size)))[3].shape[2:] == (1, 1)
    net = models.create("fcn", 2, "densenet121")
    assert net.valid_size(5, 100) == (size, 100)


def test_resnest_asks_for_two_images_in_training():
    assert models.create("fcn", 2, "resnest14", initialize=False).min_batch == 2
    assert models.create("fcn", 2, "resnet18", initialize=False).min_batch == 1
