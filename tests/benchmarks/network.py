"""What happens in and behind the network: forward, enlargement, training step."""

import importlib.util
import json
import sys

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

from mxnetseg import losses, models
from mxnetseg.inference.backend import MXNetBackend
from mxnetseg.inference.logits import argmax, logits_of

from .timing import Row, best, elsewhere

STEP = (8, 360, 480)
FORWARD = (512, 1024)
NORMALISATION = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class Usual(gluon.HybridBlock):
    """A network whose outputs MXNet's own operator enlarges to a fixed size."""

    def __init__(self, net, size):
        super().__init__()
        self.net = net
        net.upsample_outputs = False
        self._size = dict(height=size[0], width=size[1])

    def hybrid_forward(self, F, x):
        return tuple(F.contrib.BilinearResize2D(y, **self._size) for y in self.net(x))


def _step_network():
    mx.random.seed(0)
    return models.create("fcn", 11, backbone="resnet18", output_stride=32)


def _step_batch():
    n, h, w = STEP
    x = mx.nd.random.normal(shape=(n, 3, h, w))
    y = np.random.RandomState(0).randint(0, 11, (n, h, w))
    return x, y


def _seconds_per_step(net, loss_of, rate):
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": rate, "momentum": 0.9})

    def step():
        with autograd.record():
            loss = loss_of()
        loss.backward()
        trainer.step(1)
        mx.nd.waitall()

    return best(step, repeat=4, warmup=2)


def usual_step():
    net, (x, y) = _step_network(), _step_batch()
    whole = Usual(net, STEP[1:])
    whole.hybridize()
    criterion = gluon.loss.SoftmaxCELoss(axis=1)
    label = mx.nd.array(y)
    return _seconds_per_step(
        net, lambda: sum(criterion(out, label) for out in whole(x)).mean(), 0.01
    )


def our_step():
    net, (x, y) = _step_network(), _step_batch()
    net.upsample_outputs = False
    net.hybridize(static_alloc=True, static_shape=True)
    criterion = losses.create("cross_entropy", net, [1.0])
    label = mx.nd.array(y, dtype="uint8")
    return _seconds_per_step(net, lambda: criterion([net(x)], [label])[0], 0.01)


def _forward_network():
    mx.random.seed(0)
    return models.create("fcn", 19, backbone="resnet50", output_stride=8)


def _street():
    return np.random.RandomState(0).randint(0, 255, (*FORWARD, 3)).astype(np.uint8)


def usual_forward():
    """The plain hybridised call, with the threads that MXNet takes by itself: half of the cores."""
    net = _forward_network()
    net.hybridize()
    x = mx.nd.random.normal(shape=(1, 3, *FORWARD))
    return best(lambda: net(x)[0].wait_to_read(), repeat=4)


def our_forward():
    """What evaluation and prediction do: from uint8 pixels to logits."""
    street = _street()[None]
    run = MXNetBackend(_forward_network(), [mx.cpu()], *NORMALISATION)
    return best(lambda: run(street).wait_to_read(), repeat=6, warmup=2)


def forward(folder):
    """Network forward."""
    from mxnetseg.runtime import usable_cores

    half = str(max(1, usable_cores() // 2))
    return Row(
        f"forward, FCN-ResNet50 at stride 8, {FORWARD[0]}x{FORWARD[1]}",
        elsewhere("usual_forward", OMP_NUM_THREADS=half),
        elsewhere("our_forward"),
        "<= 0.5",
        _torch_note("torch_forward"),
    )


def enlargement(folder):
    """Logits at stride 8 to classes at full size."""
    small = np.random.RandomState(0).randn(1, 19, 128, 256).astype(np.float32)
    on_device = mx.nd.array(small)

    def usual():
        large = mx.nd.contrib.BilinearResize2D(on_device, height=1024, width=2048)
        mx.nd.argmax(large, axis=1).asnumpy()

    def ours():
        argmax(logits_of(small[0], (1024, 2048), (1024, 2048), align_corners=True))

    return Row("8x enlargement + arg-max, 19 classes, 1024x2048", best(usual), best(ours), "<= 0.4")


def training_step(folder):
    """Forward, loss, backward, update."""
    n, h, w = STEP
    return Row(
        f"training step, FCN-ResNet18 at stride 32, {n}x{h}x{w}",
        elsewhere("usual_step"),
        elsewhere("our_step"),
        "<= 0.6",
        _torch_note("torch_step"),
    )


def _torch_note(task):
    if not importlib.util.find_spec("torch"):
        return ""
    return f"(PyTorch {1000 * elsewhere(task):.0f} ms)"


ROWS = [enlargement, forward, training_step]

if __name__ == "__main__":
    if sys.argv[1].startswith("torch"):
        from . import torch_networks

        print(json.dumps(getattr(torch_networks, sys.argv[1])()))
    else:
        print(json.dumps(globals()[sys.argv[1]]()))
