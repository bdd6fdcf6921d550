"""CANet v1 and v2: any size, the paper's attention, any output stride."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import convert, models
from mxnetseg.errors import UsageError
from mxnetseg.models.canetv1 import FeatureSelection
from mxnetseg.models.canetv2 import EncoderDecoder
from tests.gradients import check_gradients


def test_v1_takes_any_size_from_its_coarsest_cell_on():
    net = models.create("canetv1", 3, backbone="resnet18")
    assert net.valid_size(20, 150) == (128, 150)
    net.hybridize()
    for size in ((128, 150), (141, 133)):
        assert net(mx.nd.zeros((1, 3, *size)))[0].shape == (1, 3, *size)
    with pytest.raises(UsageError, match="128x150"):
        net(mx.nd.zeros((1, 3, 127, 150)))


def test_v1_with_the_papers_attention():
    net = models.create("canetv1", 3, backbone="resnet18", attention=True)
    names = net._collect_params_with_prefix()
    assert "head.selection.conv1x1.conv.weight" in names
    assert not any(name.startswith("head.proj") for name in names)
    assert net(mx.nd.zeros((1, 3, 128, 128)))[0].shape == (1, 3, 128, 128)


def test_v1_attention_gradients():
    mx.random.seed(0)
    block = FeatureSelection(3, 4)
    block.initialize(mx.init.Xavier())
    check_gradients(block, [np.random.RandomState(0).randn(4, 3, 4, 5).astype("f4")], step=1e-3)


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_v2_at_any_output_stride(stride):
    net = models.create("canetv2", 3, backbone="resnet18", output_stride=stride)
    for y in net(mx.nd.zeros((1, 3, 75, 93))):
        assert y.shape == (1, 3, 75, 93)


def test_v2_without_dilation_is_no_checkpoint_of_the_original():
    with pytest.raises(UsageError, match="dilate"):
        convert.from_original("mxnetseg", {"network": "CANetv2", "nclass": 3, "dilate": False}, {})


def test_v2_encoder_decoder_keeps_an_odd_size():
    block = EncoderDecoder(3)
    block.initialize()
    assert block(mx.nd.zeros((1, 512, 11, 7))).shape == (1, 512, 11, 7)
