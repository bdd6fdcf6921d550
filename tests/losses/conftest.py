"""Batches for losses, and both ways to compute them."""

import numpy as np
import pytest

from .slow import CLASSES


@pytest.fixture(params=["host", "operators"])
def way(request, monkeypatch):
    """On the host, in strips, and with MXNet's operators, as on a GPU."""
    if request.param == "operators":
        monkeypatch.setenv("MXNETSEG_GPU_PATH", "1")
    return request.param


@pytest.fixture
def batch(way):
    """Logits and labels; class 4 does not occur."""
    rng = np.random.RandomState(0)
    z = rng.randn(4, CLASSES, 9, 7).astype(np.float32)
    y = rng.randint(0, CLASSES - 1, (4, 9, 7)).astype(np.uint8)
    y[0, :5] = 255  # the devices get different numbers of valid pixels
    return z, y


@pytest.fixture
def blocks(way):
    """Logits, auxiliary and boundary logits, and labels in blocks of 4 x 4 pixels."""
    rng = np.random.RandomState(1)
    z, aux = (rng.randn(4, CLASSES, 16, 24).astype(np.float32) * 2 for _ in range(2))
    b = rng.randn(4, 1, 16, 24).astype(np.float32) * 2
    y = np.kron(rng.randint(0, CLASSES, (4, 4, 6)), np.ones((4, 4))).astype(np.uint8)
    y[0, :9] = 255
    return z, aux, b, y
