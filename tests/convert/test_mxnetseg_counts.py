"""Trainable parameters of MXNetSeg's networks at 19 classes, without and with auxiliaries."""

import numpy as np
import pytest

from mxnetseg.convert import mxnetseg

COUNTS = {
    "AttentionToScale": (47231700, 48291066),
    "SeENet": (29215059, 31579750),
    "ACFNet": (58121702, 60486393),
    "CANetv1": (33703219, 36067910),
    "CANetv2": (38782267, 41146958),
    "AttaNet": (27797843, 30162534),
    "AlignSeg": (34206547, 38930534),
    "FaPN": (33511515, 35876206),
    "GFFNet": (46785235, 49149926),
}


@pytest.mark.parametrize("network", COUNTS)
def test_with_resnet50(network):
    for aux, count in zip((False, True), COUNTS[network]):
        net = mxnetseg.create(
            {"network": network, "nclass": 19, "backbone": "resnet50", "aux": aux}
        )
        trained = [p for p in net.collect_params().values() if p.grad_req != "null"]
        assert sum(int(np.prod(p.shape)) for p in trained) == count


@pytest.mark.parametrize(
    "network, backbone, aux",
    [
        ("AttentionToScale", "resnet50", True),
        ("SeENet", "resnet50", True),
        ("ACFNet", "resnet50", False),
        ("CANetv1", "resnet50", True),
        ("CANetv2", "resnet50", False),
        ("AttaNet", "resnet18", True),
        ("AlignSeg", "resnet50", True),
        ("FaPN", "resnet50", False),
        ("GFFNet", "resnet50", True),
    ],
)
def test_defaults_are_the_originals(network, backbone, aux):
    net = mxnetseg.create({"network": network, "nclass": 4})
    assert net.backbone.name == backbone
    assert net.backbone.output_stride == (32 if network in ("AttaNet", "AlignSeg", "FaPN") else 8)
    assert (len(net.output_names) > 1) == aux


def test_eprnet_ignores_what_the_original_ignores():
    net = mxnetseg.create({"network": "EPRNet", "nclass": 4, "aux": True, "crop_size": 768})
    assert net.output_names == ("main",)
