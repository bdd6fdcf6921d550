"""Trains on two CPU contexts with shared statistics, and on one with all images; see test_devices.

A program of its own, so that a wait without end ends the test and not all tests. It prints, for
every way of training, the largest relative differences as JSON.
"""

import itertools
import json

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from mxnetseg.nn import (
    Activation,
    ConvUnit,
    TwoGraphBlock,
    conv2d,
    forward,
    norm_layer,
    sequential,
    unbiased_variance,
    use_norm,
)

STEPS = 5
IMAGES = 5  # not equally many on both devices


class Net(TwoGraphBlock):
    """Branches of unequal length side by side, and a norm that is used twice."""

    def __init__(self):
        super().__init__()
        self.long = sequential(*(ConvUnit(3, 3, 3, act="tanh") for _ in range(4)))
        self.short = ConvUnit(3, 3, act="tanh")
        self.norm = norm_layer(3)
        self.twice = sequential(conv2d(3, 4, 3), norm_layer(4), Activation("tanh"))
        self.out = conv2d(4, 2, 3)

    def hybrid_forward(self, F, x):
        x = self.long(x) + self.short(x) + self.norm(x)
        return self.out(self.twice(x) + self.twice(F.sin(x)))


def train(norm, contexts, unbiased, hybridise):
    mx.random.seed(0)
    with use_norm(norm):
        net = Net()
    net.initialize(mx.init.Normal(0.5), ctx=contexts)
    if unbiased:
        unbiased_variance(net)
    if hybridise:
        net.hybridize(static_alloc=True, static_shape=True)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.03}, kvstore=None)
    found = {}
    for step in range(STEPS):
        images = np.random.RandomState(step).normal(0.5, 1, (IMAGES, 3, 9, 13)).astype("float32")
        shares = [
            mx.nd.array(x, ctx=c) for x, c in zip(np.array_split(images, len(contexts)), contexts)
        ]
        with autograd.record():
            outputs = forward(net, shares)
            losses = [(y**2).sum() / images.size for y in outputs]
        autograd.backward(losses)
        found["output", step] = np.concatenate([y.asnumpy() for y in outputs])
        for name, p in net._collect_params_with_prefix().items():
            if p.grad_req != "null":
                total = sum(g.asnumpy() for g in p.list_grad())
                found["gradient", name, step] = total
                for gradient in p.list_grad():
                    gradient[:] = total
        trainer.update(1, ignore_stale_grad=True)
    mx.nd.waitall()
    for name, p in net._collect_params_with_prefix().items():
        for device, value in enumerate(p.list_data()):
            found["running" if p.grad_req == "null" else "weight", name, device] = value.asnumpy()
    return found


def difference(one, two):
    """{kind of number: largest difference, relative to the largest value of its array}."""
    worst = {}
    for (kind, *rest), value in two.items():
        want = one.get((kind, *rest), one.get((kind, rest[0], 0)))  # on both devices the same
        size = max(float(np.abs(want).max()), 1e-2)
        worst[kind] = max(worst.get(kind, 0), float(np.abs(value - want).max()) / size)
    return worst


def main():
    for unbiased, hybridise in itertools.product((False, True), (False, True)):
        one = train("batch", [mx.cpu(0)], unbiased, hybridise)
        two = train("sync_batch", [mx.cpu(0), mx.cpu(1)], unbiased, hybridise)
        apart = train("batch", [mx.cpu(0), mx.cpu(1)], unbiased, hybridise)
        print(json.dumps([difference(one, two), difference(one, apart)]), flush=True)
