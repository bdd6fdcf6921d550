"""What every registered network promises, each with its default backbone."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import losses, models
from mxnetseg.models.base import registry

CLASSES = 5


def _networks():
    for name in models.names():
        marks = [pytest.mark.slow] if getattr(registry.get(name), "large", False) else []
        yield pytest.param(name, marks=marks)


@pytest.fixture(scope="module", params=_networks())
def net(request):
    mx.random.seed(0)
    net = models.create(request.param, CLASSES)
    net.registered_name = request.param
    for parameter in net.collect_params(".*gamma").values():
        if not parameter.data().asnumpy().any():  # a gate that starts from 0 hides what is behind
            parameter.set_data(mx.nd.ones(parameter.shape))
    return net


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
    try:
        (main,) = net(x)
    finally:
        net.main_only = False
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
    criterion = losses.CrossEntropy(
        CLASSES, (1.0, *weights, *[0.4] * (len(labelled) - 1 - len(weights))), net.align_corners
    )
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

    saved = {n: p.data().copy() for n, p in trained.items()}
    square = sum(float((p.grad() ** 2).sum().asscalar()) for p in trained.values())
    rate = 0.02 * before.asscalar() / square  # a step that lowers a linear loss by 2 %
    for p in trained.values():
        p.set_data(p.data() - rate * p.grad())
    after, _ = run()
    for n, p in trained.items():
        p.set_data(saved[n])
    net.upsample_outputs = True
    assert after.asscalar() < before.asscalar()
