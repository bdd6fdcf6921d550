"""``norm``: every network and backbone with other norms."""

import mxnet as mx
import pytest
from mxnet import autograd
from mxnet.gluon import nn as gluon_nn

from mxnetseg import backbones, models
from mxnetseg.errors import UsageError
from mxnetseg.nn import BatchNorm, GroupNorm


def norms(net):
    found = []
    net.apply(lambda b: found.append(b) if isinstance(b, (gluon_nn.BatchNorm, GroupNorm)) else None)
    return found


@pytest.mark.parametrize("name", models.names())
def test_every_network_has_the_norm_it_is_asked_for(name):
    plain = models.create(name, 5, initialize=False)
    assert all(type(n) is BatchNorm and not n.synchronised for n in norms(plain))
    group = models.create(name, 5, norm="group", initialize=False)
    assert len(norms(group)) == len(norms(plain))
    assert all(type(n) is GroupNorm for n in norms(group)) and group.min_batch == 1
    names = plain._collect_params_with_prefix()
    kept = {n: p.shape for n, p in names.items() if not n.endswith(("_mean", "_var"))}
    assert kept == {n: p.shape for n, p in group._collect_params_with_prefix().items()}
    again = models.create(**group.created_with, initialize=False)
    assert again.created_with == group.created_with and norms(again)[0].groups > 0


@pytest.mark.parametrize("name", backbones.names())
def test_every_backbone_has_the_norm_it_is_asked_for(name):
    backbone = backbones.create(name, norm="group")
    assert all(type(n) is GroupNorm for n in norms(backbone)) and backbone.norm == "group"


@pytest.mark.parametrize("name", ["pidnet", "fcn"])
def test_group_norm_trains_a_single_image(name):
    options = {"fcn": {"backbone": "resnest14"}, "pidnet": dict(planes=8, ppm_planes=8)}[name]
    net = models.create(name, 3, norm="group", **options)
    x = mx.nd.random.normal(shape=(1, 3, 64, 96))
    with autograd.record():
        total = sum((y**2).mean() for y in net(x))
    total.backward()
    still = [
        name
        for name, p in net._collect_params_with_prefix().items()
        if not p.grad().abs().max().asscalar() > 0
    ]
    assert still == []
    assert abs(net(x)[0] - net(x[:, :, ::-1])[0]).max().asscalar() > 0


def test_wrong_use_is_explained():
    with pytest.raises(UsageError, match="Unknown norm 'grupe'. Did you mean group"):
        models.create("fcn", 2, "resnet18", norm="grupe")
    with pytest.raises(UsageError, match="made with norm 'batch', the network is to have 'group'"):
        models.create("fcn", 2, backbones.create("resnet18"), norm="group")
    backbone = backbones.create("resnet18", norm="group")
    assert models.create("fcn", 2, backbone, norm="group").created_with["norm"] == "group"
