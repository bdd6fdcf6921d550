"""ViT and SETR: other sizes than the table's, taps, gradients, start from a classifier."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import backbones, convert, models
from mxnetseg.backbones.vit import Block, VisionTransformer
from mxnetseg.convert import pretrained
from mxnetseg.errors import UsageError

SIZES = dict(patch_size=8, depth=4, embed_dim=16, hidden_size=24, heads=2)


def _setr(**options):
    mx.random.seed(0)
    net = models.create("setr", 3, "vit", dict(SIZES, img_size=32), initialize=False, **options)
    net.initialize(mx.init.Normal(0.3))
    net.backbone.pos_embed.set_data(mx.nd.random.normal(shape=(1, 16, 16)))
    return net


@pytest.mark.parametrize("decoder", ["naive", "pup", "mla"])
def test_any_size(decoder):
    net = _setr(decoder=decoder)
    for size in ((32, 32), (40, 64), (29, 51), (8, 8)):
        x = mx.nd.random.normal(shape=(1, 3, *size))
        net.hybridize(active=False)
        eager = net(x)
        net.hybridize()
        assert len(eager) == len(net.output_names) == len(net.aux_weights) + 1
        for a, b in zip(eager, net(x)):
            assert a.shape == (1, 3, *size)
            np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-3, atol=1e-4)
    with pytest.raises(UsageError, match="8x9"):
        net(mx.nd.zeros((1, 3, 7, 9)))


def test_the_table_is_taken_as_it_is_at_its_own_size_and_interpolated_elsewhere():
    net = _setr()
    table = net.backbone.pos_embed.data()
    table[:] = mx.nd.arange(16).reshape((1, 16, 1)).broadcast_to((1, 16, 16))
    grids = []
    net.backbone.blocks[0].register_forward_pre_hook(lambda _, inputs: grids.append(inputs[0]))
    for parameter in net.backbone.patch_embed.collect_params().values():
        parameter.set_data(mx.nd.zeros(parameter.shape))
    for side in (32, 64):
        net(mx.nd.zeros((1, 3, side, side)))
    np.testing.assert_array_equal(grids[0].asnumpy(), table.asnumpy())
    wide = grids[1].asnumpy()[0, :, 0].reshape(8, 8)
    np.testing.assert_allclose(wide[0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], atol=1e-6)
    np.testing.assert_allclose(wide[:, 0], 4 * wide[0], atol=1e-5)


def test_decoders_tap_the_blocks_of_the_paper():
    def taps(decoder):
        backbone = backbones.create("vit", **dict(SIZES, depth=24))
        return models.create("setr", 3, backbone, decoder=decoder, initialize=False).backbone.taps

    assert taps("naive") == taps("pup") == (10, 15, 20, 24)
    assert taps("mla") == (6, 12, 18, 24)


def test_auxiliaries_are_options():
    net = _setr(decoder="naive", aux=False)
    assert net.output_names == ("main",)
    assert not [name for name in net._collect_params_with_prefix() if "aux" in name]


@pytest.mark.parametrize("decoder", ["naive", "pup", "mla"])
def test_other_backbones(decoder):
    net = models.create("setr", 3, "resnet18", decoder=decoder)
    x = mx.nd.random.normal(shape=(1, 3, 45, 64))
    assert all(y.shape == (1, 3, 45, 64) for y in net(x))


def test_a_vit_is_a_backbone_of_other_networks():
    net = models.create("fcn", 3, "vit", dict(SIZES, img_size=32))
    assert net(mx.nd.zeros((1, 3, 40, 33)))[0].shape == (1, 3, 40, 33)
    again = models.create(**net.created_with)
    assert again.backbone.pos_embed.shape == (1, 16, 16)


def test_gradients_of_a_block():
    """Hybridised = eager = finite differences, in double precision (but for MXNet's erf)."""
    mx.random.seed(0)
    block = Block(8, 12, 2, True, 0.0, 0.0, "gelu", 1e-6)
    block.initialize(mx.init.Normal(0.5))
    block.cast("float64")
    x = mx.nd.random.normal(shape=(2, 5, 8), dtype="float64")
    head = mx.nd.random.normal(shape=(2, 5, 8), dtype="float64")
    for hybridise in (False, True):
        block.hybridize(active=hybridise)
        with autograd.record():
            loss = (block(x) * head).sum()
        loss.backward()
        for name, parameter in block.collect_params().items():
            value, gradient = parameter.data().copy(), parameter.grad().copy()
            direction = mx.nd.random.normal(shape=parameter.shape, dtype="float64")
            losses = []
            for step in (1e-3, -1e-3):
                parameter.set_data(value + step * direction)
                losses.append((block(x) * head).sum().asscalar())
            parameter.set_data(value)
            found = (gradient * direction).sum().asscalar()
            assert found == pytest.approx((losses[0] - losses[1]) / 2e-3, rel=1e-3), name


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_gradients_of_the_network(size):
    net, results = _setr(decoder="mla"), []
    x = mx.nd.random.normal(shape=(2, 3, *size))
    heads = [mx.nd.random.normal(shape=(2, 3, *size)) for _ in net.output_names]
    for block in net.backbone.blocks:
        for dropout in (block.att.proj_drop, block.mlp.drop1, block.mlp.drop2):
            dropout._rate = 0
    for hybridise in (False, True):
        net.hybridize(active=hybridise)
        with autograd.record():
            loss = sum((y * h).mean() for y, h in zip(net(x), heads))
        loss.backward()
        results.append(
            {
                name: p.grad().asnumpy()
                for name, p in net._collect_params_with_prefix().items()
                if p.grad_req != "null"
            }
        )
    for name, eager in results[0].items():
        assert np.abs(eager).max() > 0, name
        np.testing.assert_allclose(eager, results[1][name], rtol=1e-2, atol=1e-5, err_msg=name)


def test_classifier_pools_the_first_token_or_all():
    nets = {}
    for pool in ("cls", "mean"):
        mx.random.seed(0)
        nets[pool] = VisionTransformer(**SIZES, img_size=24, classes=5, pool=pool)
        nets[pool].initialize(mx.init.Normal(0.3))
        assert nets[pool].pos_embed.shape == (1, 10, 16)
    x = mx.nd.random.normal(shape=(2, 3, 24, 24))
    assert nets["cls"](x).shape == (2, 5)
    assert not np.allclose(nets["cls"](x).asnumpy(), nets["mean"](x).asnumpy())
    with pytest.raises(UsageError, match="pool"):
        VisionTransformer(**SIZES, img_size=24, pool="max")


def test_a_classifier_starts_the_encoder(tmp_path):
    classifier = VisionTransformer(**SIZES, img_size=24, classes=5)
    classifier.initialize(mx.init.Normal(0.3))
    classifier.pos_embed.set_data(mx.nd.random.normal(shape=(1, 10, 16)))
    file = str(tmp_path / "vit.params")
    classifier.save_parameters(file)
    for img_size in (24, 32):
        backbone = backbones.create("vit", **SIZES, img_size=img_size)
        backbone.initialize()
        pretrained.load(backbone, file)
        for name in ("blocks.3.att.proj.weight", "patch_embed.linear.bias"):
            theirs = classifier._collect_params_with_prefix()[name].data().asnumpy()
            ours = backbone._collect_params_with_prefix()[name].data().asnumpy()
            np.testing.assert_array_equal(theirs, ours)
        assert backbone.layer_norms[0].gamma.data().asnumpy().min() == 1
        table = backbone.pos_embed.data().asnumpy()
        if img_size == 24:
            np.testing.assert_array_equal(table, classifier.pos_embed.data().asnumpy()[:, :-1])
        assert np.abs(table).max() > 0.5


@pytest.mark.parametrize(
    "build, message",
    [
        (dict(network="SETR", nclass=3, decoder="pub"), "pup"),
        (dict(network="SETR", nclass=3, backbone="vit_large_32"), "vit_large_16"),
        (dict(network="SETR", nclass=3, encoder=dict(embed=3)), "embed_dim"),
        (dict(network="SETR", nclass=3, encoder=dict(embed_dim=6, heads=4)), "divisible"),
        (dict(network="VisionTransformer", img_size=32, classes=3), "lack patch_size"),
        (dict(network="VisionTransformer", constructor="vit_base_16", classes=3), "img_size"),
    ],
)
def test_wrong_builds_are_explained(build, message):
    with pytest.raises(UsageError, match=message):
        convert.from_original("mxnetseg", build, {})
