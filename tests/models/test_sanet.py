"""SANet: variants and widths, sizes, what the original never calls."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg import convert, models
from mxnetseg.errors import UsageError
from mxnetseg.models.sanet import Decoder, DilatedPath
from tests.gradients import check_gradients
from tests.reference import synthetic

SMALL = dict(planes=4, spp_planes=4, head_planes=4)


def trained(net):
    """The number of parameters that learn."""
    parameters = net.collect_params().values()
    return sum(int(np.prod(p.shape)) for p in parameters if p.grad_req != "null")


# as the card counts them, less those that take no part in the forward pass
@pytest.mark.parametrize(
    "variant, aux, count",
    [
        ("S", True, 8947289 - 569905),
        ("s", False, 8797508 - 532688),
        ("M", False, 12305116 - 403688),
        ("L", True, 18511089 - 440905),
        ("L", False, 18361308 - 403688),
    ],
)
def test_parameters(variant, aux, count):
    net = models.create("sanet", 19, variant=variant, aux=aux, initialize=False)
    assert trained(net) == count


def test_sizes():
    net = models.create("sanet", 3, **SMALL)
    net.upsample_outputs = False
    for height, width in ((8, 8), (72, 120)):
        main, aux, boundary = net(mx.nd.zeros((1, 3, height, width)))
        assert main.shape == (1, 3, height // 8, width // 8)
        assert aux.shape == (1, 3, -(-height // 16), -(-width // 16))
        assert boundary.shape == (1, 1, height // 8, width // 8)
    with pytest.raises(UsageError, match="72x120"):
        net(mx.nd.zeros((1, 3, 70, 113)))


def test_wrong_options():
    with pytest.raises(UsageError, match="variant of SANet"):
        models.create("sanet", 3, variant="XL")
    with pytest.raises(UsageError, match="four positive"):
        models.create("sanet", 3, layers=(2, 2, 2))


def test_blocks():
    images = np.random.RandomState(0).normal
    mx.random.seed(0)
    for block, shapes in (
        (Decoder(4, 2), [(2, 4, 6, 9), (2, 4, 6, 9), (2, 4, 2, 3)]),
        (DilatedPath(4, 6, (1, 2)), [(4, 4, 8, 9)]),
    ):
        block.initialize(mx.init.Xavier())
        check_gradients(block, [images(size=s).astype(np.float32) for s in shapes], step=1e-3)


def _state(net, build, prefix=""):
    """A checkpoint of the original: ours, and the entries that it never uses."""
    state = {prefix + n: v for n, v in convert.to_original("sanet", build, net).items()}
    for name in ("spp.process1.0.weight", "seghead_d2.bn1.bias", "classifier.0.weight", "fc.bias"):
        state[prefix + name] = np.zeros(3, np.float32)
    state[prefix + "stom.1.num_batches_tracked"] = np.zeros((), np.int64)
    state["sem_loss.criterion.weight"] = np.ones(19, np.float32)
    return state


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "module.model."])
def test_prefixes_are_found_and_come_back(prefix):
    build = dict(variant="M", layers=[1, 2, 1, 2], num_classes=3, augment=False, **SMALL)
    net = models.create(
        "sanet", 3, variant="M", layers=(1, 2, 1, 2), aux=False, initialize=True, **SMALL
    )
    state = _state(net, build, prefix)
    again = convert.from_original("sanet", build, state)
    x = mx.nd.random.normal(shape=(1, 3, 32, 40))
    np.testing.assert_array_equal(net(x)[0].asnumpy(), again(x)[0].asnumpy())
    back = convert.to_original("sanet", build, again)
    assert all(name.startswith(prefix) for name in back)
    for name, value in back.items():
        np.testing.assert_array_equal(value, state[name])
    with pytest.raises(UsageError, match="left over"):
        convert.from_original("sanet", build, {**state, prefix + "spp.process5.0.weight": 0})


def test_the_wrappers_names_without_a_file():
    build = dict(num_classes=3, wrapper=True, **SMALL)
    net = models.create("sanet", 3, **SMALL)
    assert "model.stom.0.weight" in convert.to_original("sanet", build, net)


def test_starts_from_imagenet_with_what_fits():
    imagenet = models.create("sanet", 1000, aux=False, **SMALL)
    state = _state(imagenet, dict(num_classes=1000, augment=False, **SMALL))
    build = dict(num_classes=3, **SMALL)
    net = models.create("sanet", 3, **SMALL)
    head = net.final_layer.conv2.weight.data().asnumpy()
    used = convert.load_fitting("sanet", build, net, state)
    assert "layer6.0.conv3.weight" in used and "final_layer.conv2.weight" not in used
    np.testing.assert_array_equal(
        net.layer6[0].conv3.weight.data().asnumpy(), state["layer6.0.conv3.weight"]
    )
    np.testing.assert_array_equal(net.final_layer.conv2.weight.data().asnumpy(), head)
    with pytest.raises(UsageError, match="Not one entry"):
        convert.load_fitting("sanet", build, net, {"x": np.zeros(3)})


def test_the_manifests_heads_off(pytestconfig):
    """Without augment the same weights give the same main output, at 1/8."""
    path = pytestconfig.rootpath / "tests/reference/sanet/sanet_s"
    spec = synthetic.manifest(path)
    state = synthetic.checkpoint(spec)
    heads = ("seghead_extra", "seghead_d.", "seghead_d2")
    state = {n: v for n, v in state.items() if not n.startswith(heads)}
    net = convert.from_original("sanet", {**spec["build"], "augment": False}, state)
    net.upsample_outputs = False
    case = spec["cases"][0]
    (main,) = net(mx.nd.array(synthetic.image(case["shape"], case["seed"])))
    want = synthetic.expected(path)[case["name"]][spec["outputs"].index("main")]
    assert np.abs(main.asnumpy()[:, :, ::4, ::4] - want).max() <= 1e-3 * want.std()
