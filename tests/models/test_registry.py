"""What every registered network promises, each with its default backbone."""

import contextlib

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import losses, models
from mxnetseg.models.base import registry

from ..tiny import tiny_net

CLASSES = 5


def _networks():
    for name in models.names():
        marks = [pytest.mark.slow] if getattr(registry.get(name), "large", False) else []
        yield pytest.param(name, marks=marks)


@pytest.fixture(scope="module", params=_networks())
def built(request):
    """A network, built once for its tests."""
    mx.random.seed(0)
    net = models.create(request.param, CLASSES)
    net.registered_name = request.param
    for parameter in net.collect_params(".*gamma").values():
        if not parameter.data().asnumpy().any():  # a gate that starts from 0 hides what is behind
            parameter.set_data(mx.nd.ones(parameter.shape))
    return net


@pytest.fixture
def net(built):
    with as_built(built):
        yield built


@contextlib.contextmanager
def as_built(net):
    """Whatever is done to a network within, it is left eager, whole and with its old parameters."""
    start = {p: p.data().copy() for p in net.collect_params().values()}
    yield
    net.hybridize(active=False)
    net.upsample_outputs, net.main_only = True, False
    for parameter, value in start.items():
        parameter.set_data(value)


def test_a_test_leaves_its_network_as_it_was_built():
    net, x = tiny_net(), mx.nd.random.normal(shape=(2, 3, 32, 32))
    before = [y.asnumpy() for y in net(x)]
    with as_built(net):
        net.hybridize()
        net.main_only, net.upsample_outputs = True, False
        with autograd.record():
            net(x)
        for p in net.collect_params().values():
            p.set_data(p.data() + 1)
    after = [y.asnumpy() for y in net(x)]
    assert all((a == b).all() for a, b in zip(before, after)) and not net._active


def _images(net, height, width, n=2):
    height, width = net.valid_size(height, width)
    return mx.nd.random.normal(shape=(n, 3, height, width))


@pytest.mark.parametrize("size", [(64, 96), (75, 53)])
def test_outputs_have_the_size_of_the_input_hybridised_as_eager(net, size):
    x = _images(net, *size, n=1)
    net.hybridize(active=False)
    eager = net(x)
    assert isinstance(eager, tuple) and len(eager) == len(net.output_names)
    for name, output in zip(net.output_names, eager):
        channels = 1 if name.startswith("boundary") else CLASSES
        assert output.shape == (1, channels, *x.shape[2:])
        assert np.isfinite(output.asnumpy()).all()
    net.hybridize()
    for a, b in zip(eager, net(x)):
        np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-3, atol=1e-4)


def test_main_only_leaves_out_the_auxiliaries(net):
    x = _images(net, 64, 64, n=1)
    everything = net(x)
    net.main_only = True
    (main,) = net(x)
    np.testing.assert_allclose(main.asnumpy(), everything[0].asnumpy(), rtol=1e-3, atol=1e-4)


def test_impossible_sizes_name_the_right_one(net):
    if net.size_divisor == 1 and net.min_size == 1 and not net.fixed_size:
        pytest.skip("takes any size")
    from mxnetseg.errors import UsageError

    height, width = net.valid_size(1, 1)
    with pytest.raises(UsageError, match=f"{height}x{width}"):
        net(mx.nd.zeros((1, 3, height - 1, width)))


def test_save_and_load(net, tmp_path):
    x = _images(net, 64, 64, n=1)
    file = str(tmp_path / "net.params")
    net.save_parameters(file)
    again = models.create(net.registered_name, CLASSES, initialize=False)
    again.load_parameters(file)
    for a, b in zip(net(x), again(x)):
        np.testing.assert_array_equal(a.asnumpy(), b.asnumpy())


def test_a_training_step_lowers_the_loss_and_reaches_every_parameter(net):
    weights = [w for w, n in zip(net.aux_weights, net.output_names[1:]) if n.startswith("aux")]
    labelled = [i for i, n in enumerate(net.output_names) if not n.startswith("boundary")]
    weights = (1.0, *weights, *[0.4] * (len(labelled) - 1 - len(weights)))
    names = [net.output_names[i] for i in labelled]
    parts = losses.summands("cross_entropy")
    criterion = losses.Loss(CLASSES, parts, names, weights, net.align_corners)
    # norms over two values, one per image, would see nothing but signs
    x = _images(net, 64, 64, n=2 if net.min_size <= 64 and net.min_batch == 1 else 4)
    label = mx.nd.array(np.random.RandomState(0).randint(0, CLASSES, x.shape[:1] + x.shape[2:]))
    net.upsample_outputs = False

    def run():
        mx.random.seed(1)  # the same dropout both times
        with autograd.record():
            outputs = net(x)
            (loss,) = criterion([[outputs[i] for i in labelled]], [label])
            # a boundary map has no label here; its mean carries a gradient to its head
            total = loss + sum(o.mean() for i, o in enumerate(outputs) if i not in labelled)
        return loss, total

    before, total = run()
    total.backward()
    trained = {n: p for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"}
    still = [n for n, p in trained.items() if not p.grad().abs().max().asscalar() > 0]
    allowed = getattr(net, "untrained", ())
    assert [n for n in still if not n.endswith(tuple(allowed))] == []

    square = sum(float((p.grad() ** 2).sum().asscalar()) for p in trained.values())
    # Steps that lower a linear loss by 2 % and less. Norms over few values and kinks make it rough,
    # so a single length may go up.
    gradients = {p: p.grad().copy() for p in trained.values()}
    start = {p: p.data().copy() for p in trained.values()}
    after = []
    for share in (0.02, 0.007, 0.002):
        rate = share * before.asscalar() / square
        for p in trained.values():
            p.set_data(start[p] - rate * gradients[p])
        after.append(run()[0].asscalar())
    assert min(after) < before.asscalar()
