"""MobileNetV3: counts, strides, dilation, the classifier and its ImageNet files."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import backbones, convert
from mxnetseg.backbones.mobilenetv3 import InvertedResidual, MobileNetV3Classifier, round_channels
from mxnetseg.errors import UsageError
from tests.gradients import check_gradients
from tests.reference import synthetic


def _trained(block):
    parameters = block.collect_params().values()
    return sum(int(np.prod(p.shape)) for p in parameters if p.grad_req != "null")


def test_rounding():
    assert [round_channels(v) for v in (18, 3, 60, 72 * 0.75, 88.08)] == [24, 8, 64, 56, 88]


# per part, as the card counts them
@pytest.mark.parametrize(
    "mode, counts",
    [
        ("large", (464, 8344, 52312, 731368, 2023944, 155520, 2511080)),
        ("small", (464, 744, 9280, 180032, 680040, 56448, 1615848)),
    ],
)
def test_parameters(mode, counts):
    net = MobileNetV3Classifier(mode)
    layers = [getattr(net.backbone, f"layer{i}") for i in range(5)]
    assert tuple(_trained(b) for b in (*layers, net.conv, net.classifier)) == counts


@pytest.mark.parametrize("mode, count", [("large", 3993528), ("small", 2041872)])
def test_parameters_at_three_quarters(mode, count):
    assert _trained(MobileNetV3Classifier(mode, width=0.75)) == count


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("mode", ["large", "small"])
def test_strides(mode, output_stride):
    backbone = backbones.create(f"mobilenetv3_{mode}", output_stride, width=0.35)
    backbone.initialize()
    for y, channels, stride in zip(
        backbone(mx.nd.zeros((1, 3, 65, 97))), backbone.channels, backbone.strides
    ):
        assert y.shape == (1, channels, -(-65 // stride), -(-97 // stride))


def test_dilation_keeps_size_and_parameters():
    plain = backbones.create("mobilenetv3_large", 8)
    dilated = backbones.create("mobilenetv3_large", 8, atrous3=True, atrous4=True)
    assert _trained(plain) == _trained(dilated)
    for stage, padding in ((dilated.layer3, 2), (dilated.layer4, 4)):
        for block in stage:
            options = block.conv._children["3"]._kwargs
            assert options["dilate"] == (2, 2) and options["pad"] == (padding, padding)
    dilated.initialize()
    assert dilated(mx.nd.zeros((1, 3, 33, 40)))[3].shape == (1, 160, 5, 5)
    with pytest.raises(UsageError, match="atrous3"):
        backbones.create("mobilenetv3_small", atrous3=True)


@pytest.mark.parametrize("expand", [True, False])
def test_block(expand):
    mx.random.seed(0)
    block = InvertedResidual(8, 24 if expand else 8, 8, 5, 1, 2, True, "hard_swish")
    block.initialize(mx.init.Xavier())
    x = np.random.RandomState(0).normal(size=(4, 8, 7, 9)).astype(np.float32)
    check_gradients(block, [x], step=1e-3)


@pytest.mark.parametrize("mode", ["large", "small"])
def test_stages_are_the_originals(mode, pytestconfig):
    path = pytestconfig.rootpath / f"tests/reference/mlmsnet/mobilenetv3_{mode}"
    spec = synthetic.manifest(path)
    net = convert.from_original("mlmsnet", spec["build"], synthetic.checkpoint(spec))
    (case,) = spec["cases"]
    _, stem, *stages = synthetic.expected(path)[case["name"]]
    x = mx.nd.array(synthetic.image(case["shape"], case["seed"]))
    got = [net.backbone.layer0(x), *net.backbone(x)]
    for y, want in zip(got, [stem, *stages]):
        np.testing.assert_allclose(y[:, :, ::4, ::4].asnumpy(), want, atol=1e-3 * want.std())


@pytest.mark.parametrize("mode", ["large", "small"])
def test_imagenet_files_map_by_position(mode):
    """Their stem and blocks are numbered in one list."""
    build = {"network": f"mobilenetv3_{mode}", "width_mult": 0.35, "num_classes": 7}
    net = MobileNetV3Classifier(mode, 7, 0.35, 8)
    net.initialize()
    stages, number, state = {}, 0, {}
    for name, value in convert.to_original("mlmsnet", build, net).items():
        parts = name.split(".")
        if parts[0].startswith("layer"):
            block = tuple(parts[:2])
            if block not in stages:
                stages[block], number = number, number + 1
            name = ".".join(["features", str(stages[block]), *parts[2:]])
        state[name] = value
        if name.endswith("running_var"):
            state[name[: -len("running_var")] + "num_batches_tracked"] = np.zeros((), np.int64)
    again = convert.from_original("mlmsnet", build, state)
    x = mx.nd.random.normal(shape=(1, 3, 32, 48))
    np.testing.assert_array_equal(net(x).asnumpy(), again(x).asnumpy())
    assert set(convert.to_original("mlmsnet", build, again)) < set(state)
    state.pop("classifier.3.bias")
    with pytest.raises(UsageError, match="not an ImageNet file"):
        convert.from_original("mlmsnet", build, state)
