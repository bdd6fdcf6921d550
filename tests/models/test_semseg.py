"""PSPNet and PSANet of semseg: the mask operator, sizes, zoom factors, dilation."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn

from mxnetseg import backbones, convert, models
from mxnetseg.backbones.resnet_semseg import SemsegResNetClassifier
from mxnetseg.convert import pretrained
from mxnetseg.errors import UsageError
from mxnetseg.models.psanet import PointwiseAttention, full_mask, spread


def _loops(attention, size, mask_size, distribute):
    """The original operator, one element at a time: (targets, sources) per image."""
    (h, w), (mask_h, mask_w) = size, mask_size
    n = h * w
    out = np.zeros((len(attention), n, n), np.float32)
    cells = attention.reshape(len(attention), mask_h, mask_w, n)
    for i in range(n):
        for j in range(n):
            p = j // w - i // w + (mask_h - 1) // 2
            q = j % w - i % w + (mask_w - 1) // 2
            if 0 <= p < mask_h and 0 <= q < mask_w:
                out[(slice(None), j, i) if distribute else (slice(None), i, j)] = cells[:, p, q, i]
    return out


class Spread(nn.HybridBlock):
    def __init__(self, mask_size, distribute):
        super().__init__()
        self._options = mask_size, distribute

    def hybrid_forward(self, F, x):
        return spread(F, x, x, *self._options)


STEP = 1e-8  # so small that hardly any ReLU changes sides
SIZES = [((4, 3), (7, 5)), ((4, 5), (3, 5)), ((3, 2), (9, 7)), ((1, 4), (3, 5)), ((2, 2), (1, 1))]


@pytest.mark.parametrize("hybridise", [False, True])
@pytest.mark.parametrize("distribute", [False, True])
@pytest.mark.parametrize("size, mask_size", SIZES)
def test_mask_operator_is_the_originals(size, mask_size, distribute, hybridise):
    x = np.random.RandomState(0).normal(size=(2, mask_size[0] * mask_size[1], *size))
    x = x.astype(np.float32)
    block = Spread(mask_size, distribute)
    if hybridise:
        block.hybridize()
    data = mx.nd.array(x)
    data.attach_grad()
    with autograd.record():
        out = block(data)
    np.testing.assert_array_equal(out.asnumpy(), _loops(x, size, mask_size, distribute))
    # every value goes to one place at most: the gradient is the operator backwards
    head = np.random.RandomState(1).normal(size=out.shape).astype(np.float32)
    out.backward(mx.nd.array(head))
    gradient = data.grad.asnumpy()
    assert (gradient * x).sum() == pytest.approx((head * out.asnumpy()).sum(), rel=1e-4)
    for k in range(0, x.size, 7):
        step = np.zeros_like(x)
        step.flat[k] = 1
        expected = (_loops(step, size, mask_size, distribute) * head).sum()
        assert gradient.flat[k] == pytest.approx(expected, abs=1e-6)


def test_one_graph_takes_all_sizes():
    block = Spread((5, 3), False)
    block.hybridize()
    for size in ((4, 3), (2, 6)):
        x = np.random.RandomState(0).normal(size=(1, 15, *size)).astype(np.float32)
        out = block(mx.nd.array(x)).asnumpy()
        np.testing.assert_array_equal(out, _loops(x, size, (5, 3), False))


def test_positions_beyond_the_integers_of_float32():
    size, mask_size = (47, 47), (93, 93)
    n = 47 * 47
    x = mx.nd.random.normal(shape=(1, 93 * 93, *size))
    out = spread(mx.nd, x, x, mask_size).asnumpy()[0]
    flat = x.asnumpy().reshape(93, 93, n)
    for i, j in ((n - 1, 0), (0, n - 1), (n - 2, n - 1), (1000, 1234)):
        p, q = j // 47 - i // 47 + 46, j % 47 - i % 47 + 46
        assert out[i, j] == flat[p, q, i]


@pytest.mark.parametrize("softmax, factor", [(True, 1.0), (False, 7.0)])
@pytest.mark.parametrize("mode, compact", [("both", False), ("both", True), ("collect", False)])
def test_attention_trains(mode, compact, softmax, factor):
    """Hybridised gradients = eager ones = finite differences, in double precision."""
    size = (5, 3)  # shrunk to 3 x 2
    mx.random.seed(0)
    block = PointwiseAttention(4, mode, compact, 2, (3, 2) if compact else (5, 3), factor, softmax)
    block.initialize(mx.init.Xavier(magnitude=2))
    block.cast("float64")
    x = mx.nd.random.normal(shape=(2, 4, *size), dtype="float64")
    head = mx.nd.random.normal(shape=(2, 8, *size), dtype="float64")
    weights = block.collect_params(".*(weight|gamma|beta)")
    for hybridise in (False, True):
        block.hybridize(active=hybridise)
        with autograd.record():
            loss = (block(x) * head).sum()
        loss.backward()
        for name, parameter in weights.items():
            value, gradient = parameter.data().copy(), parameter.grad().copy()
            direction = mx.nd.random.normal(shape=parameter.shape, dtype="float64")
            losses = []
            for step in (STEP, -STEP):
                parameter.set_data(value + step * direction)
                with autograd.train_mode():
                    losses.append((block(x) * head).sum().asscalar())
            parameter.set_data(value)
            expected = (losses[0] - losses[1]) / (2 * STEP)
            found = (gradient * direction).sum().asscalar()
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-4), name


@pytest.mark.parametrize("options", [dict(mode="collect"), dict(compact=True)])
def test_hybridised_training_is_eager_training(options):
    """In single precision, where oneDNN has layouts of its own; PyTorch's running variance too."""
    x = mx.nd.random.normal(shape=(2, 3, 33, 49))  # 3 x 4 positions
    results = []
    for hybridise in (False, True):
        mx.random.seed(0)
        net = _psanet(mask_size=(3, 4) if options.get("compact") else (5, 3), dropout=0, **options)
        net.hybridize(active=hybridise)
        net(x)
        with autograd.record():
            loss = sum((y**2).mean() for y in net(x))
        loss.backward()
        mx.nd.waitall()
        results.append(
            {
                name: (p.data() if p.grad_req == "null" else p.grad()).asnumpy()
                for name, p in net._collect_params_with_prefix().items()
            }
        )
    for name, eager in results[0].items():
        scale = np.abs(eager).max()
        assert scale > 0, name
        np.testing.assert_allclose(results[1][name] / scale, eager / scale, atol=1e-4, err_msg=name)


def test_full_masks_of_the_recipes():
    assert full_mask((465, 465)) == (59, 59)
    assert full_mask((705, 705)) == (89, 89)
    assert full_mask((65, 97), compact=True) == (5, 7)


def _psanet(**options):
    return models.create("psanet", 3, backbone="resnet18", **options)


@pytest.mark.parametrize("mode", ["collect", "distribute", "both"])
def test_a_larger_mask_is_cut(mode):
    """Offsets that cannot occur change nothing."""
    net, wide = _psanet(mode=mode, mask_size=(5, 7)), _psanet(mode=mode, mask_size=(9, 9))
    values = net._collect_params_with_prefix()
    for name, parameter in wide._collect_params_with_prefix().items():
        value = values[name].data().asnumpy()
        if value.shape != parameter.shape:
            value = value.reshape(5, 7, *value.shape[1:])
            value = np.pad(value, [(2, 2), (1, 1), (0, 0), (0, 0), (0, 0)])
        parameter.set_data(mx.nd.array(value.reshape(parameter.shape)))
    x = mx.nd.random.normal(shape=(1, 3, 33, 49))  # 3 x 4 positions
    np.testing.assert_allclose(net(x)[0].asnumpy(), wide(x)[0].asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "make, size, proposal",
    [
        (lambda: models.create("pspnet_semseg", 3, backbone="resnet18"), (64, 65), "65x65"),
        (lambda: models.create("pspnet_semseg", 3, backbone="resnet18"), (1, 1), "9x9"),
        (lambda: _psanet(), (65, 73), "65x81"),
        (lambda: _psanet(shrink_factor=4), (65, 81), "65x97"),
        (lambda: _psanet(use_psa=False), (65, 80), "65x81"),
        (lambda: _psanet(compact=True, mask_size=(5, 7)), (65, 65), "65x97"),
    ],
)
def test_impossible_sizes(make, size, proposal):
    net = make()
    with pytest.raises(UsageError, match=proposal):
        net(mx.nd.zeros((1, 3, *size)))
    height, width = map(int, proposal.split("x"))
    assert net(mx.nd.zeros((1, 3, height, width)))[0].shape == (1, 3, height, width)


def test_crops_are_rounded_to_possible_sizes():
    assert models.create("pspnet_semseg", 3, backbone="resnet18").size_within(480, 7) == (473, 9)
    assert _psanet().size_within(473, 713) == (465, 705)
    assert _psanet(compact=True, mask_size=(5, 7)).size_within(473, 713) == (65, 97)


def test_an_imagenet_file_starts_a_backbone(tmp_path):
    net = SemsegResNetClassifier(50, num_classes=3)
    net.initialize()
    file = str(tmp_path / "resnet50.params")
    net.save_parameters(file)
    backbone = backbones.create("resnet50_semseg", 8)
    backbone.initialize()
    pretrained.load(backbone, file)
    ours, theirs = (b.layer0[6].weight.data().asnumpy() for b in (backbone, net.backbone))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", ["pspnet_semseg", "psanet"])
def test_zoom_factor_is_the_resolution_of_the_logits(name):
    mx.random.seed(0)
    x = mx.nd.random.normal(shape=(1, 3, 49, 65))
    net = models.create(name, 3, backbone="resnet18")
    enlarged = [y.asnumpy() for y in net(x)]
    for zoom in (1, 2, 4, 8):
        net.zoom_factor = zoom
        net.upsample_outputs = True
        for a, b in zip(enlarged, net(x)):
            np.testing.assert_allclose(a, b.asnumpy(), rtol=1e-4, atol=1e-5)
        net.upsample_outputs = False
        z = 1 if zoom == 8 else zoom
        for y in net(x):
            assert y.shape[2:] == (6 * z + 1, 8 * z + 1)


def test_every_block_of_a_dilated_stage_dilates():
    for stride, dilations in ((8, (1, 1, 2, 4)), (16, (1, 1, 1, 2)), (32, (1, 1, 1, 1))):
        backbone = backbones.create("resnet50_semseg", stride)
        for stage, dilation in enumerate(dilations, 1):
            for block in getattr(backbone, f"layer{stage}"):
                assert block.conv2._kwargs["dilate"] == (dilation, dilation)


@pytest.mark.parametrize(
    "build, message",
    [
        (dict(network="PSPNet", layers=18), "50, 101 or 152 layers, not 18"),
        (dict(network="PSPNet", zoom_factor=3), "zoom_factor"),
        (dict(network="PSPNet", bins=(1, 2, 3)), "must divide 2048"),
        (dict(network="PSANet", psa_type=3), "psa_type"),
        (dict(network="PSANet", mask_h=4), "odd"),
        (dict(network="PSANet", psatype=2), "psa_type"),
        (dict(network="PSENet"), "PSPNet"),
    ],
)
def test_wrong_builds_are_explained(build, message):
    with pytest.raises(UsageError, match=message):
        convert.from_original("semseg", build, {})
