"""MLMSNet: encoders, widths, fusions left out, zoom factors; the baseline's quirk."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import convert, models
from mxnetseg.errors import UsageError
from mxnetseg.models.mlmsnet import MultiLevelFusion, MultiScaleFusion
from tests.gradients import check_gradients


def trained(net, without=()):
    """The number of parameters that learn, without those below the names in ``without``."""
    return sum(
        int(np.prod(p.shape))
        for name, p in net._collect_params_with_prefix().items()
        if p.grad_req != "null" and not name.startswith(tuple(without))
    )


# as the card counts them
@pytest.mark.parametrize(
    "name, classes, options, count",
    [
        ("mlms_baseline", 19, {"aux": True}, 3069334),
        ("mlms_baseline", 19, {"aux": False}, 3003459),
        ("mlmsnet", 19, {"aux": False}, 5247459),
        ("mlmsnet", 19, {"aux": False, "variant": "l"}, 7073331),
        ("mlmsnet_v2", 19, {}, 3579219),
        ("mlmsnet_v2", 2, {}, 3573898),
        ("mlmsnet_v2", 19, {"variant": "L"}, 4187163),
    ],
)
def test_parameters(name, classes, options, count):
    assert trained(models.create(name, classes, initialize=False, **options)) == count


def _expected(c, up, version, n):
    """The card's check sums of all but the encoder: modules, then main head."""

    def d(v):
        r = max(8, int(v + 4) // 8 * 8)
        return r + 8 if r < 0.9 * v else r

    f = up * sum(c)
    if version == 1:
        msf = sum(43 * k * k + 14 * k + 4 * k * k * up + 2 * k * up for k in c)
        cls = 9 * f * 128 * up + 2 * 128 * up + 128 * up * n + n
        return msf, 2 * f * f + 4 * f, cls
    msf = [3 * (13 * k + k * k) + 8 * k * d(4 * k // 4) + 4 * k * k * up + 2 * k * up for k in c]
    return sum(msf), 2 * f * d(f // 4) + f * f + 2 * f, f * n + n


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("msf, mlf", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(
    "mode, width, c",
    [
        ("large", 1.0, (40, 112, 160)),
        ("large", 0.75, (32, 88, 120)),
        ("small", 1.0, (24, 48, 96)),
        ("small", 0.75, (24, 40, 72)),
    ],
)
def test_every_build_of_the_converter(version, msf, mlf, mode, width, c):
    network = {1: "MLMSNet", 2: "MLMSNetv2"}[version]
    build = dict(network=network, mode=mode, width_mult=width, classes=5)
    build.update(use_msf=msf, use_mlf=mlf, large=False)
    name = {1: "mlmsnet", 2: "mlmsnet_v2"}[version]
    options = {"width": width}
    net = models.create(name, 5, f"mobilenetv3_{mode}", backbone_options=options, msf=msf, mlf=mlf)
    assert net.backbone.channels[1:] == c
    a, b, head = _expected(c, 1, version, 5)
    if not msf:
        a = 0
    assert trained(net, ["backbone.", "aux."]) == a + b * mlf + head
    state = {"module." + n: v for n, v in convert.to_original("mlmsnet", build, net).items()}
    again = convert.from_original("mlmsnet", build, state)
    assert set(convert.to_original("mlmsnet", build, again)) == set(state)
    x = mx.nd.random.normal(shape=(1, 3, 33, 50))
    for y, z in zip(net(x), again(x)):
        np.testing.assert_array_equal(y.asnumpy(), z.asnumpy())


def test_builds_that_do_not_exist():
    with pytest.raises(UsageError, match="variant S"):
        models.create("mlmsnet", 3, variant="L", msf=False)
    with pytest.raises(UsageError, match="'large' only"):
        convert.from_original("mlmsnet", {"network": "BaselineNet", "mode": "small"}, {})
    with pytest.raises(UsageError, match="mode of MLMSNet"):
        convert.from_original("mlmsnet", {"network": "MLMSNet", "mode": "medium"}, {})
    with pytest.raises(UsageError, match="zoom_factor"):
        models.create("mlmsnet_v2", 3, zoom_factor=3)
    with pytest.raises(UsageError, match="Did you mean use_msf"):
        convert.from_original("mlmsnet", {"network": "MLMSNet", "use_mfs": True}, {})


@pytest.mark.parametrize("hybridise", [False, True])
@pytest.mark.parametrize("zoom, size", [(1, (5, 7)), (2, (9, 13)), (4, (17, 25)), (8, (5, 7))])
def test_zoom_factors(zoom, size, hybridise):
    """Own resolutions, (n - 1) // (8 / zoom) + 1, but for 8: that is the input's size."""
    net = models.create("mlms_baseline", 3, "mobilenetv3_large", zoom_factor=zoom)
    if hybridise:
        net.hybridize()
    x = mx.nd.random.normal(shape=(1, 3, 34, 50))
    assert [y.shape for y in net(x)] == [(1, 3, 34, 50)] * 2
    net.upsample_outputs = False
    assert [y.shape for y in net(x)] == [(1, 3, *size)] * 2
    if hybridise:  # no size is fixed in the graph
        assert net(mx.nd.zeros((2, 3, 17, 96)))[0].shape[2:] == tuple(
            -(-n * zoom // 8) if zoom < 8 else -(-n // 8) for n in (17, 96)
        )


def test_the_baselines_auxiliary_head_that_does_not_fit():
    """At width 0.75 the original's is made for 84 channels where there are 88."""
    build = dict(network="BaselineNet", width_mult=0.75, classes=3)
    encoder = {"width": 0.75}
    net = models.create("mlms_baseline", 3, backbone_options=encoder, aux=False)
    state = convert.to_original("mlmsnet", build, net)
    state["aux.0.weight"] = np.zeros((64, 84, 3, 3), np.float32)
    state["aux.1.weight"] = np.ones(64, np.float32)
    again = convert.from_original("mlmsnet", build, state)
    assert again.output_names == ("main",)
    assert models.create("mlms_baseline", 3, backbone_options=encoder).output_names[1] == "aux"


def test_any_backbone():
    """Levels of unlike size are enlarged to the finest."""
    net = models.create("mlmsnet", 3, "xception39", aux=False)
    net.upsample_outputs = False
    assert net(mx.nd.zeros((1, 3, 64, 96)))[0].shape == (1, 3, 8, 12)


def test_trains_without_multi_level_fusion_at_three_quarters():
    """32 + 88 + 120 channels in front of a convolution: too much for MXNet's concat."""
    net = models.create("mlmsnet", 3, backbone_options={"width": 0.75}, mlf=False, aux=False)
    with autograd.record():
        loss = (net(mx.nd.random.normal(shape=(2, 3, 32, 48)))[0] ** 2).mean()
    loss.backward()
    assert net.backbone.layer0[0][0].weight.grad().abs().max().asscalar() > 0


def test_dropout_takes_whole_channels():
    net = models.create("mlmsnet_v2", 3)
    dropout = net.cls[0]
    with autograd.train_mode():
        y = dropout(mx.nd.ones((2, 200, 4, 5))).asnumpy()
    flat = y.reshape(400, 20)
    assert (flat == flat[:, :1]).all()
    assert 0.02 < (flat[:, 0] == 0).mean() < 0.2
    np.testing.assert_allclose(flat[flat > 0], 1 / 0.9, rtol=1e-5)


@pytest.mark.parametrize("light", [False, True])
def test_fusions(light):
    mx.random.seed(0)
    x = np.random.RandomState(0).normal(size=(4, 4, 9, 11)).astype(np.float32)
    for block in (MultiScaleFusion(4, 8, light), MultiLevelFusion(4, light)):
        block.initialize(mx.init.Xavier())
        check_gradients(block, [x], step=1e-3, tolerance=5e-2)
