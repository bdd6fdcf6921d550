"""Networks with backbones other than their originals': channels are the backbone's own."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import models

NETWORKS = [
    "acfnet",
    "alignseg",
    "attanet",
    "attention_to_scale",
    "canetv1",
    "canetv2",
    "danet",
    "deeplabv3",
    "deeplabv3plus",
    "denseaspp",
    "fapn",
    "gffnet",
    "ladderdensenet",
    "psanet",
    "pspnet",
    "pspnet_semseg",
    "seenet",
    "semanticfpn",
    "setr",
    "swiftnetpr",
]


@pytest.mark.parametrize("backbone", ["mobilenet_v2_0_25", "xception39", "resnet18"])
@pytest.mark.parametrize("network", NETWORKS)
def test_any_backbone(network, backbone):
    net = models.create(network, 3, backbone)
    x = mx.nd.random.normal(shape=(2, 3, *net.valid_size(61, 83)))
    eager = [y.asnumpy() for y in net(x)]
    net.hybridize()
    for name, want, got in zip(net.output_names, eager, net(x)):
        assert want.shape == (2, 3, *x.shape[2:]), name
        np.testing.assert_allclose(got.asnumpy(), want, rtol=1e-3, atol=1e-4)
    with autograd.record():  # MXNet's concat has failing gradients at odd channel counts
        loss = sum((y**2).mean() for y in net(x))
    loss.backward()
    gradient = next(iter(net.backbone.collect_params().values())).grad().asnumpy()
    assert np.isfinite(gradient).all() and gradient.any()


@pytest.mark.parametrize(
    "network, backbone", [("deeplabv3", "densenet121"), ("pspnet", "resnest14")]
)
def test_strides_of_backbones_that_are_not_dilated_in_the_original(network, backbone):
    net = models.create(network, 3, backbone, aux=False, output_stride=16)
    net.upsample_outputs = False
    assert net(mx.nd.zeros((1, 3, 64, 96)))[0].shape == (1, 3, 4, 6)
