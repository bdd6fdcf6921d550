"""Creation of networks: names, options, strides."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import backbones, models
from mxnetseg.errors import UsageError


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(name="fnc", num_classes=3), "Unknown network 'fnc'. Did you mean fcn"),
        (dict(name="fcn", num_classes=3, backbone="resnet19"), "resnet18"),
        (dict(name="fcn", num_classes=3, auxx=True), "Unknown option of network 'fcn' 'auxx'"),
        (dict(name="fcn", num_classes=0), "positive whole number"),
        (dict(name="fcn", num_classes=3, output_stride=4), "output_stride 8, 16, 32, not 4"),
        (
            dict(name="bisenet", num_classes=3, backbone="xception39", output_stride=8),
            "'xception39' has output_stride 32 only",
        ),
    ],
)
def test_wrong_use_is_explained(arguments, message):
    with pytest.raises(UsageError, match=message):
        models.create(**arguments)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2_0_25"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_backbones_keep_their_promises(name, stride):
    backbone = backbones.create(name, stride)
    backbone.initialize()
    maps = backbone(mx.nd.zeros((1, 3, 64, 96)))
    assert [m.shape[1] for m in maps] == list(backbone.channels)
    assert [64 // m.shape[2] for m in maps] == list(backbone.strides)
    assert backbone.output_stride == stride


def test_flags_take_effect_in_a_hybridised_network():
    net = models.create("fcn", 3, backbone="resnet18", output_stride=32)
    net.hybridize()
    x = mx.nd.random.normal(shape=(1, 3, 64, 64))
    full = net(x)[0]
    net.upsample_outputs = False
    assert net(x)[0].shape == (1, 3, 2, 2)
    net.upsample_outputs = True
    np.testing.assert_allclose(net(x)[0].asnumpy(), full.asnumpy(), rtol=1e-5, atol=1e-5)


def test_create_gives_weights_and_initialize_is_as_in_gluon():
    net = models.create("fcn", 3, backbone="resnet18")
    net(mx.nd.zeros((1, 3, 32, 32)))
    net.initialize(force_reinit=True, ctx=mx.cpu(1))
    assert net.collect_params().list_ctx() == [mx.cpu(1)]
