import mxnet as mx
import pytest

from mxnetseg import models
from mxnetseg.errors import UsageError


def test_takes_multiples_of_32_only():
    net = models.create("semanticfpn", 3, "resnet18")
    with pytest.raises(UsageError, match="96x128"):
        net(mx.nd.zeros((1, 3, 70, 100)))
    net.upsample_outputs = False
    assert net(mx.nd.zeros((1, 3, 96, 128)))[0].shape == (1, 3, 24, 32)


def test_permits_output_stride_32_only():
    with pytest.raises(UsageError, match="permits output_stride 32, not 8"):
        models.create("semanticfpn", 3, "resnet18", output_stride=8)
