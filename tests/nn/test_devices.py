"""Batch norms that share their statistics over devices."""

import json
import os
import subprocess
import sys
import threading

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import models
from mxnetseg.errors import UsageError
from mxnetseg.nn import BatchNorm, ConvUnit, devices, forward, sequential, synchronised, use_norm

TWO = [mx.cpu(0), mx.cpu(1)]
# float32 over a few layers; measured 2e-6 where the statistics agree
TOLERANCE = 1e-5
PROGRAM = "import mxnetseg; from tests.nn import two_devices; two_devices.main()"


@pytest.fixture(scope="module")
def differences():
    """For (unbiased, hybridised): relative differences from one device's, shared and unshared."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        timeout=300,
        check=True,
    )
    lines = done.stdout.decode().splitlines()
    ways = [(unbiased, hybridised) for unbiased in (False, True) for hybridised in (False, True)]
    return dict(zip(ways, map(json.loads, lines)))


@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("hybridised", [False, True])
def test_two_devices_are_one(differences, unbiased, hybridised):
    shared, unshared = differences[unbiased, hybridised]
    assert set(shared) == {"output", "gradient", "running", "weight"}
    assert max(shared.values()) < TOLERANCE
    assert min(unshared.values()) > 10 * TOLERANCE  # so that the test would notice


def _net(contexts=None):
    with use_norm("sync_batch"):
        net = sequential(ConvUnit(3, 4, 3), ConvUnit(4, 2))
    net.initialize(ctx=contexts or TWO)
    return net


def _images(n=2, contexts=None):
    return [mx.nd.ones((n, 3, 6, 7), ctx=c) for c in contexts or TWO]


def test_a_network_that_fails_on_one_device_fails():
    net, images = _net(), _images()
    images[1] = mx.nd.ones((2, 5, 6, 7), ctx=TWO[1])
    with autograd.record(), pytest.raises(mx.MXNetError, match="[Ss]hape"):
        forward(net, images)


def test_a_device_that_does_not_come_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(devices, "WAIT", 0.2)
    meeting = devices.Meeting(2)
    with pytest.raises(threading.BrokenBarrierError):
        meeting.gather(0, 1)


def test_training_on_two_devices_without_the_others_images_is_refused():
    net, images = _net(), _images()
    with autograd.record(), pytest.raises(UsageError, match="nn.forward"):
        net(images[0])
    net(images[0]).wait_to_read()  # inference needs nobody


def test_on_one_device_it_is_batch_norm():
    net, (x,) = _net([mx.cpu(0)]), _images(contexts=[mx.cpu(0)])
    assert synchronised(net)
    mx.random.seed(0)
    plain = sequential(ConvUnit(3, 4, 3), ConvUnit(4, 2))
    plain.initialize()
    assert not synchronised(plain)
    for a, b in zip(plain.collect_params().values(), net.collect_params().values()):
        a.set_data(b.data())
    with autograd.record():
        (y,), want = forward(net, [x]), plain(x)
    np.testing.assert_array_equal(y.asnumpy(), want.asnumpy())


def test_graphs_stay_hybridised():
    net = _net()
    net.hybridize()
    with autograd.record():
        forward(net, _images())
    assert all(block._active for block in net)


def test_every_norm_of_a_network_is_synchronised_and_its_checkpoint_is_plain():
    net = models.create("fcn", 2, "resnet18", norm="sync_batch", initialize=False)
    norms = []
    net.apply(lambda b: norms.append(b) if isinstance(b, BatchNorm) else None)
    assert len(norms) > 20 and all(norm.synchronised for norm in norms)
    plain = models.create("fcn", 2, "resnet18", initialize=False)
    assert net.created_with == plain.created_with
    assert set(net._collect_params_with_prefix()) == set(plain._collect_params_with_prefix())
