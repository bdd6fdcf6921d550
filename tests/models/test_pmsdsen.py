"""PMSDSEN: activations, single modules, gradients of its units."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import convert, models
from mxnetseg.convert.pmsdsen import ACTIVATIONS
from mxnetseg.errors import UsageError
from mxnetseg.models.pmsdsen import Pyramid, Unit, UpBlock, WeightedFusion, shrink_image
from mxnetseg.nn import EfficientChannelAttention
from tests.gradients import check_gradients


def _images(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


def _trained(block):
    parameters = block.collect_params().values()
    return sum(int(np.prod(p.shape)) for p in parameters if p.grad_req != "null")


def test_parameters():
    assert _trained(models.create("pmsdsen", 19, initialize=False)) == 922373


def test_gates_kernels():
    kernels = [EfficientChannelAttention(c).conv._kwargs["kernel"] for c in (32, 64, 128)]
    assert kernels == [(3,), (3,), (5,)]


def test_image_injection_is_a_sum_of_two_pools():
    x = mx.nd.ones((1, 3, 6, 8))
    y = shrink_image(mx.nd, x).asnumpy()
    assert y.shape == (1, 3, 3, 4)
    np.testing.assert_allclose(y[0, 0, 0, 0], 4 / 9 + 1, rtol=1e-6)  # zeros beyond the border
    np.testing.assert_allclose(y[0, 0, 1, 1], 2, rtol=1e-6)


@pytest.mark.parametrize("act_name", ACTIVATIONS)
def test_activations_through_the_converter(act_name):
    build = dict(cls=3, act_name=act_name)
    net = models.create("pmsdsen", 3, act=ACTIVATIONS[act_name])
    state = convert.to_original("pmsdsen", build, net)
    again = convert.from_original("pmsdsen", build, state)
    x = mx.nd.array(_images(1, 3, 16, 24))
    outputs = again(x)
    for y, z in zip(net(x), outputs):
        np.testing.assert_array_equal(y.asnumpy(), z.asnumpy())
        assert np.isfinite(y.asnumpy()).all()
    again.hybridize()
    for y, z in zip(again(x), outputs):
        np.testing.assert_allclose(y.asnumpy(), z.asnumpy(), rtol=1e-3, atol=1e-4)


def test_slopes_have_the_original_places():
    build = dict(cls=3, act_name="prelu")
    net = models.create("pmsdsen", 3, act="prelu")
    state = convert.to_original("pmsdsen", build, net)
    gelu = convert.to_original("pmsdsen", {}, models.create("pmsdsen", 3))
    slopes = set(state) - set(gelu)
    assert {n for n in slopes if n.startswith("layer1.0")} == {
        "layer1.0.LDI.conv.0.compress.2.weight",
        "layer1.0.LDI.conv.0.process.2.weight",
        "layer1.0.LDI.conv.2.compress.2.weight",
        "layer1.0.LDI.conv.2.process.2.weight",
        "layer1.0.MSLRI.conv.0.conv.2.weight",  # and none in the cascade
        "layer1.0.MSLRI.conv.2.conv.2.weight",
        "layer1.0.bn_act.br.1.weight",
        "layer1.0.entry_bn_act.br.1.weight",
        "layer1.0.act.weight",
    }
    assert state["layer2.0.act.weight"].shape == (64,)
    assert state["MSSE_.tail.1.weight"].shape == (320,)
    assert not any(n.startswith("DWFF") for n in slopes)


@pytest.mark.parametrize("name", ["relu_out", "act.0"])
def test_slopes_by_other_names(name):
    """The card names neither the slopes behind a unit's sum nor those of the up blocks."""
    build = dict(cls=3, act_name="prelu")
    net = models.create("pmsdsen", 3, act="prelu")
    state = convert.to_original("pmsdsen", build, net)
    state = {n.replace(".act.weight", f".{name}.weight"): v for n, v in state.items()}
    again = convert.from_original("pmsdsen", build, state)
    assert set(convert.to_original("pmsdsen", build, again)) == set(state)
    x = mx.nd.array(_images(1, 3, 16, 24))
    np.testing.assert_array_equal(net(x)[0].asnumpy(), again(x)[0].asnumpy())
    for part in ("layer2.1", "up4"):
        build["part"] = part
        own = {n: v for n, v in state.items() if n.startswith(part + ".")}
        module = convert.from_original("pmsdsen_parts", build, own)
        assert set(convert.to_original("pmsdsen_parts", build, module)) == set(own)


def test_wrong_options():
    with pytest.raises(UsageError, match="activation of PMSDSEN"):
        convert.from_original("pmsdsen", {"act_name": "tanh"}, {})
    with pytest.raises(UsageError, match="act_name"):
        convert.from_original("pmsdsen", {"act_nam": "relu"}, {})
    with pytest.raises(UsageError, match="24x16"):
        models.create("pmsdsen", 2)(mx.nd.zeros((1, 3, 20, 16)))


@pytest.mark.parametrize("part", ["layer1.0.MSLRI", "up4", "seg_head_x8", "DWFF5"])
def test_parts(part):
    net = models.create("pmsdsen", 5)
    everything = convert.to_original("pmsdsen", {}, net)
    state = {n: v for n, v in everything.items() if n.startswith(part + ".")}
    build = {"part": part, "cls": 5}
    module = convert.from_original("pmsdsen_parts", build, state)
    back = convert.to_original("pmsdsen_parts", build, module)
    assert set(back) == set(state)
    if part == "DWFF5":
        x = _images(2, 64, 4, 5)
        want = net.DWFF5(mx.nd.array(x[:, :32]), mx.nd.array(x[:, 32:]))
        np.testing.assert_array_equal(module(mx.nd.array(x)).asnumpy(), want.asnumpy())


@pytest.mark.parametrize("hybridise", [False, True])
def test_parts_keep_the_unbiased_variance(hybridise):
    module = convert.create("pmsdsen_parts", {"part": "DWFF5"})
    module.initialize()
    if hybridise:
        module.hybridize()
    x = _images(3, 64, 4, 5)
    module(mx.nd.array(x))  # inference first: its graph is not the one of training
    norm = module.part.conv_du[1]
    with mx.autograd.record():
        module(mx.nd.array(x)).backward()
    mean = mx.nd.array((x[:, :32] + x[:, 32:]).mean((2, 3), keepdims=True))
    seen = module.part.conv_du[0](mean).asnumpy()
    want = 0.9 + 0.1 * seen.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(norm.running_var.data().asnumpy(), want, rtol=1e-5)


@pytest.mark.parametrize(
    "build, match",
    [
        ({}, "lack 'part'"),
        ({"part": "layer6"}, "no module 'layer6'"),
        ({"part": "down2"}, "features and an image"),
    ],
)
def test_parts_that_do_not_exist(build, match):
    with pytest.raises(UsageError, match=match):
        convert.from_original("pmsdsen_parts", build, {})


@pytest.mark.parametrize(
    "block, shapes",
    [
        (lambda: Unit(32, "gelu"), [(2, 32, 6, 7)]),  # a cascade of 4 channels per group
        (lambda: UpBlock(8, "gelu"), [(2, 8, 5, 6)]),
        (lambda: WeightedFusion(8, 4), [(4, 8, 5, 6)] * 2),
        (lambda: Pyramid(8, 4, "gelu"), [(4, 8, 19, 18)]),
    ],
)
def test_gradients(block, shapes):
    mx.random.seed(0)
    block = block()
    block.initialize(mx.init.Xavier())
    images = [_images(*s, seed=i) for i, s in enumerate(shapes)]
    check_gradients(block, images, step=5e-3, tolerance=5e-2)
