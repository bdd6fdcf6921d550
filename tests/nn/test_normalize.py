"""Normalisation on the host is that on the device."""

import mxnet as mx
import numpy as np
import pytest

from mxnetseg.nn import Normalize


@pytest.mark.parametrize("channels, dtype", [(3, np.uint8), (1, np.uint8), (6, np.float32)])
def test_host_and_device_agree(channels, dtype):
    rng = np.random.default_rng(0)
    mean, std = rng.uniform(0.3, 0.6, channels), rng.uniform(0.2, 0.4, channels)
    images = rng.uniform(0, 255, (2, 7, 9, channels)).astype(dtype)
    normalize = Normalize(mean, std)
    normalize.initialize()
    on_device = normalize(mx.nd.array(images, dtype=dtype)).asnumpy()
    loaded = normalize.load(images, mx.cpu(1))
    assert loaded.context == mx.cpu(1) and loaded.dtype == np.float32
    assert np.array_equal(loaded.asnumpy(), on_device)
    expected = (images / 255 - mean) / std
    assert np.allclose(on_device, expected.transpose(0, 3, 1, 2), atol=1e-5)
