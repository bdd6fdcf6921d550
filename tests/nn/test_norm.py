"""Batch norm with PyTorch's running variance, eager and hybridised."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd
from mxnet.gluon import nn as gluon_nn

from mxnetseg.errors import UsageError
from mxnetseg.nn import BatchNorm, TwoGraphBlock, conv2d, unbiased_variance


class Net(TwoGraphBlock):
    """Two norms, one of them over very few values."""

    def __init__(self):
        super().__init__()
        self.bn1 = BatchNorm(3)
        self.conv = conv2d(3, 4, 3, padding=0)
        self.bn2 = BatchNorm(4)
        self.relu = gluon_nn.Activation("relu")

    def hybrid_forward(self, F, x):
        return self.bn2(self.conv(self.relu(self.bn1(x))))


@pytest.fixture
def images():
    return np.random.RandomState(0).normal(1, 2, (2, 3, 4, 3)).astype(np.float32)


def _net(hybridise=False, unbiased=True, **how):
    mx.random.seed(1)
    net = Net()
    net.initialize(mx.init.Normal(0.3))
    if unbiased:
        unbiased_variance(net)
    if hybridise:
        net.hybridize(**how)
    return net


def _train(net, x, steps=3):
    for i in range(steps):
        with autograd.record():
            loss = (net(mx.nd.array(x * (i + 1))) ** 3).sum()
        loss.backward()
    mx.nd.waitall()  # static_shape does not order readers of running values after writers
    return {
        name: (p.data().asnumpy(), None if p.grad_req == "null" else p.grad().asnumpy())
        for name, p in net._collect_params_with_prefix().items()
    }


@pytest.mark.parametrize("hybridise", [False, True])
def test_running_variance_is_unbiased(images, hybridise):
    net = BatchNorm(3)
    net.initialize()
    unbiased_variance(net)
    if hybridise:
        net.hybridize()
    mean, variance = np.zeros(3), np.ones(3)
    for scale in (1, 5):
        with autograd.record():
            net(mx.nd.array(scale * images)).backward()
        mean = 0.9 * mean + 0.1 * scale * images.mean((0, 2, 3))
        variance = 0.9 * variance + 0.1 * scale**2 * images.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(net.running_mean.data().asnumpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(net.running_var.data().asnumpy(), variance, rtol=1e-5)


@pytest.mark.parametrize("hybridise", [False, True])
def test_a_map_of_zeros_counts(hybridise):
    """Its mean is the running mean that a norm starts with; its variance is not."""
    net = BatchNorm(2)
    net.initialize()
    unbiased_variance(net)
    if hybridise:
        net.hybridize()
    for expected in (0.9, 0.81):
        with autograd.record():
            net(mx.nd.zeros((2, 2, 3, 3))).backward()
        np.testing.assert_allclose(net.running_var.data().asnumpy(), expected, rtol=1e-5)


def test_double_precision(images):
    net = BatchNorm(3)
    net.initialize()
    net.cast("float64")
    unbiased_variance(net)
    x = mx.nd.array(images, dtype="float64")
    with autograd.record():
        net(x).backward()
    variance = 0.9 + 0.1 * x.asnumpy().var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(net.running_var.data().asnumpy(), variance, rtol=1e-12)
    net.hybridize()
    with autograd.record(), pytest.raises(UsageError, match="float64"):
        net(x)


@pytest.mark.parametrize(
    "how", [{}, {"static_alloc": True}, {"static_alloc": True, "static_shape": True}]
)
def test_hybridised_is_eager(images, how):
    eager, hybridised = _train(_net(), images), _train(_net(True, **how), images)
    for name, values in eager.items():
        for a, b in zip(values, hybridised[name]):
            if a is not None:
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


def test_outputs_and_gradients_are_the_plain_ones(images):
    unbiased, plain = _train(_net(), images), _train(_net(unbiased=False), images)
    for name, (_, gradient) in plain.items():
        if gradient is not None:
            np.testing.assert_allclose(gradient, unbiased[name][1], rtol=1e-4, atol=1e-5)
    assert not np.allclose(plain["bn2.running_var"][0], unbiased["bn2.running_var"][0])


def test_inference_runs_the_plain_graph_and_changes_nothing(images, tmp_path):
    net = _net(True)
    x = mx.nd.array(images)
    before = net(x).asnumpy()  # traced in inference first: training must not take this graph
    after = _train(net, images)
    np.testing.assert_allclose(
        after["bn2.running_var"][0], _train(_net(), images)["bn2.running_var"][0], rtol=1e-5
    )
    assert not np.allclose(before, net(x).asnumpy())
    for name, p in net._collect_params_with_prefix().items():
        np.testing.assert_array_equal(p.data().asnumpy(), after[name][0])
    with autograd.train_mode():
        net(x)  # the training graph is the current one now, and its forward pass counts
    out = net(x).asnumpy()
    net.export(str(tmp_path / "net"))
    assert "sgd" not in (tmp_path / "net-symbol.json").read_text()
    net.hybridize(active=False)
    np.testing.assert_allclose(net(x).asnumpy(), out, rtol=1e-5, atol=1e-6)


def test_a_training_graph_run_for_inference_changes_nothing(images):
    net = gluon_nn.HybridSequential()  # one graph for both modes
    net.add(BatchNorm(3))
    net.initialize()
    unbiased_variance(net)
    net.hybridize()
    x = mx.nd.array(images)
    with autograd.record():
        net(x).backward()
    mean, variance = (p.data().asnumpy() for p in (net[0].running_mean, net[0].running_var))
    net(x).wait_to_read()
    np.testing.assert_array_equal(net[0].running_mean.data().asnumpy(), mean)
    np.testing.assert_array_equal(net[0].running_var.data().asnumpy(), variance)


def test_frozen_norms_stay(images):
    net = _net()
    net.apply(lambda b: isinstance(b, BatchNorm) and b._kwargs.update(use_global_stats=True))
    before = net.bn1.running_var.data().asnumpy()
    np.testing.assert_array_equal(_train(net, images)["bn1.running_var"][0], before)
