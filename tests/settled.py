"""Networks with random weights that behave as trained ones: no activation explodes or dies."""

import mxnet as mx
import numpy as np
from mxnet.gluon import nn

from mxnetseg import models


def settled(name, num_classes=5, backbone=None, seed=0, **options):
    """A network by name, see :func:`settle`."""
    mx.random.seed(seed)
    net = models.create(name, num_classes, backbone, **options)
    settle(net, seed)
    return net


def settle(net, seed=0, size=(64, 96)):
    """Random values for what starts from 0; running statistics as if trained on noise."""
    rng = np.random.RandomState(seed)
    for name, parameter in net.collect_params().items():
        if name.endswith("running_mean") or parameter.data().asnumpy().any():
            continue
        parameter.set_data(mx.nd.array(rng.normal(0, 0.1, parameter.shape)))

    def measure(block, inputs):
        values = inputs[0].asnumpy().astype(np.float64)
        axes = tuple(k for k in range(values.ndim) if k != 1)
        block.running_mean.set_data(mx.nd.array(values.mean(axes)))
        block.running_var.set_data(mx.nd.array(values.var(axes) + 1e-2))

    handles = []
    net.apply(
        lambda b: (
            handles.append(b.register_forward_pre_hook(measure))
            if isinstance(b, nn.BatchNorm)
            else None
        )
    )
    shape = (2, net.in_channels, *net.valid_size(*size))
    net.logits(mx.nd, mx.nd.array(rng.normal(0, 1, shape)))
    for handle in handles:
        handle.detach()
