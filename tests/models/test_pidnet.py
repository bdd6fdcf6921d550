"""PIDNet: variants, layouts and widths, the fusions' gradients."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import convert, models
from mxnetseg.errors import UsageError
from mxnetseg.models.pidnet import Bag, LightBag, PixelAttention
from mxnetseg.nn import DAPPM, PAPPM, BasicBlock
from tests.gradients import check_gradients

SMALL = dict(planes=4, ppm_planes=4, head_planes=4)


# as the card counts them
@pytest.mark.parametrize(
    "variant, aux, count",
    [
        ("S", False, 7625715),
        ("M", False, 28538515),
        ("L", False, 36939571),
        ("s", True, 7720935),
    ],
)
def test_parameters(variant, aux, count):
    net = models.create("pidnet", 19, variant=variant, aux=aux, initialize=False)
    parameters = net.collect_params().values()
    assert sum(int(np.prod(p.shape)) for p in parameters if p.grad_req != "null") == count


def test_layout_follows_the_depth():
    light = models.create("pidnet", 3, variant="L", depths=(2, 3), initialize=False, **SMALL)
    assert isinstance(light.spp, PAPPM) and isinstance(light.dfm, LightBag)
    deep = models.create("pidnet", 3, depths=(3, 1), initialize=False, **SMALL)
    assert isinstance(deep.spp, DAPPM) and isinstance(deep.dfm, Bag)
    assert isinstance(deep.layer4_d, BasicBlock)


def test_sizes():
    net = models.create("pidnet", 3, **SMALL)
    net.upsample_outputs = False
    for height, width in ((8, 8), (72, 120)):
        shapes = [y.shape for y in net(mx.nd.zeros((1, 3, height, width)))]
        assert shapes == [(1, c, height // 8, width // 8) for c in (3, 3, 1)]


def test_wrong_options():
    with pytest.raises(UsageError, match="variant of PIDNet"):
        models.create("pidnet", 3, variant="XL")
    with pytest.raises(UsageError, match="variant of PIDNet"):
        convert.from_original("pidnet", {"variant": "xl"}, {})
    with pytest.raises(UsageError, match="two positive"):
        models.create("pidnet", 3, depths=(2,))


@pytest.mark.parametrize(
    "block, shapes",
    [
        (lambda: PixelAttention(4, 2), [(4, 4, 6, 9), (4, 4, 3, 4)]),
        (lambda: LightBag(4), [(2, 4, 6, 9)] * 3),
        (lambda: Bag(4), [(2, 4, 6, 9)] * 3),
    ],
)
def test_fusions(block, shapes):
    rng = np.random.RandomState(0)
    mx.random.seed(0)
    block = block()
    block.initialize(mx.init.Xavier())
    check_gradients(block, [rng.normal(size=s).astype(np.float32) for s in shapes], step=1e-3)


@pytest.mark.parametrize("m", [2, 3])
def test_widths_and_the_wrapper_through_the_converter(m):
    build = dict(variant="s", m=m, n=1, num_classes=3, augment=False, wrapper=True, **SMALL)
    net = models.create("pidnet", 3, aux=False, depths=(m, 1), **SMALL)
    state = convert.to_original("pidnet", build, net)
    assert "model.conv1.0.weight" in state
    state["sem_loss.criterion.weight"] = np.ones(3, np.float32)
    again = convert.from_original("pidnet", build, state)
    x = mx.nd.random.normal(shape=(1, 3, 32, 40))
    np.testing.assert_array_equal(net(x)[0].asnumpy(), again(x)[0].asnumpy())
    with pytest.raises(UsageError, match="missing"):
        convert.from_original("pidnet", {**build, "m": 5 - m}, state)
