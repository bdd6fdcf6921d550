import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd

from mxnetseg import models
from mxnetseg.errors import UsageError


@pytest.mark.parametrize("backbone, divisor", [("resnet18", 2), ("densenet121", 32)])
def test_states_the_sizes_at_which_both_passes_fit(backbone, divisor):
    net = models.create("swiftnetpr", 3, backbone)
    assert net.size_divisor == divisor
    height, width = net.valid_size(61, 95)
    assert net(mx.nd.zeros((1, 3, height, width)))[0].shape == (1, 3, height, width)
    with pytest.raises(UsageError, match=f"{height}x{width}"):
        net(mx.nd.zeros((1, 3, 61, 95)))


@pytest.mark.parametrize("hybrid", [False, True])
def test_running_statistics_see_the_image_first_and_then_its_copy(hybrid):
    mx.random.seed(0)
    net = models.create("swiftnetpr", 3, "resnet18", aux=True)
    net.hybridize(hybrid)
    x = mx.nd.random.normal(shape=(2, 3, 64, 64))
    conv, norm = net.backbone.conv1, net.backbone.bn1
    full, half = (
        conv(y).asnumpy().var(axis=(0, 2, 3))
        for y in (x, mx.nd.contrib.BilinearResize2D(x, height=32, width=32))
    )
    with autograd.record():
        main, aux = net(x)
        loss = (main**2).mean() + (aux**2).mean()
    loss.backward()
    want = 0.9 * (0.9 * 1 + 0.1 * full) + 0.1 * half
    np.testing.assert_allclose(norm.running_var.data().asnumpy(), want, rtol=1e-5)
