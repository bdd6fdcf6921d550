"""Networks for images with other than three channels."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import models
from mxnetseg.backbones.channels import fit_channels
from mxnetseg.convert import pretrained
from mxnetseg.errors import UsageError
from mxnetseg.models.channels import image_weights

SMALL = {"backbone": "resnet18"}


@pytest.mark.parametrize("name", models.names())
def test_every_network_says_where_it_sees_the_image(name):
    net = models.create(name, 3, initialize=False)  # as many classes as channels
    shapes = [p.shape for p in image_weights(net)]
    assert shapes and all(shape[1] == 3 or shape[1] % 32 == 3 for shape in shapes)
    wide = models.create(name, 3, initialize=False, in_channels=5)
    grown = [(a, b) for (_, a), (_, b) in zip(_shapes(net), _shapes(wide)) if a != b]
    assert [a for a, _ in grown] == [s for _, s in _shapes(net) if s in shapes][: len(grown)]
    assert all(b == (a[0], a[1] + 2, *a[2:]) for a, b in grown) and len(grown) == len(shapes)


def _shapes(net):
    return [(key, p.shape) for key, p in net._collect_params_with_prefix().items()]


@pytest.mark.parametrize("name, options", [("fcn", SMALL), ("bisenet", SMALL), ("pmsdsen", {})])
@pytest.mark.parametrize("channels", [1, 4])
def test_forward_and_backward(name, options, channels):
    net = models.create(name, 2, in_channels=channels, **options)
    x = mx.nd.array(np.random.default_rng(0).normal(size=(2, channels, 64, 64)))
    eager = [y.asnumpy() for y in net(x)]
    net.hybridize()
    for a, b in zip(eager, net(x)):
        assert a.shape[2:] == (64, 64) and np.abs(a - b.asnumpy()).max() < 1e-4
    with mx.autograd.record():
        loss = (net(x)[0] ** 2).mean()
    loss.backward()
    net.hybridize(False)
    assert all(np.abs(p.grad().asnumpy()).sum() > 0 for p in image_weights(net))
    with pytest.raises(UsageError, match=f"takes images of {channels} channels, not 3"):
        net(mx.nd.zeros((1, 3, 64, 64)))


def test_created_with_and_wrong_values():
    net = models.create("fcn", 2, "resnet18", in_channels=4)
    assert net.created_with["in_channels"] == 4 and net.in_channels == 4
    assert "in_channels" not in models.create("fcn", 2, "resnet18").created_with
    again = models.create(**net.created_with)
    assert [s for _, s in _shapes(again)] == [s for _, s in _shapes(net)]
    with pytest.raises(UsageError, match="in_channels must be"):
        models.create("fcn", 2, "resnet18", in_channels=0)


def test_rgb_weights_for_other_images():
    weights = mx.nd.array(np.random.default_rng(0).normal(size=(8, 3, 3, 3)))
    grey = np.ones((1, 1, 3, 3))
    before = (weights.asnumpy() * grey).sum((1, 2, 3))
    for channels in (1, 2, 4, 7):
        fitted = fit_channels(weights, (8, channels, 3, 3)).asnumpy()
        assert fitted.shape == (8, channels, 3, 3)
        assert np.allclose((fitted * grey).sum((1, 2, 3)), before, atol=1e-5)
    assert np.allclose(fitted[:, :3], weights.asnumpy() * 3 / 7)
    for shape in ((8, 3, 3, 3), (16, 4, 3, 3), (8, 4, 5, 5), (8,)):
        assert fit_channels(weights, shape) is weights


def test_imagenet_weights_into_a_network_for_four_channels(tmp_path):
    rgb = models.create("fcn", 2, "resnet18").backbone
    rgb.save_parameters(str(tmp_path / "rgb.params"))
    net = models.create("fcn", 2, "resnet18", in_channels=4)
    pretrained.load(net, str(tmp_path / "rgb.params"))
    stem = net.backbone.conv1.weight.data().asnumpy()
    assert np.allclose(stem[:, :3], rgb.conv1.weight.data().asnumpy() * 3 / 4)
