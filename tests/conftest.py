"""What all tests share."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import mxnetseg  # noqa: F401  before any test imports mxnet: it prepares the process

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The folder of real images beside the checkout; tests skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the folder {SHARED.name} beside the checkout")
    return SHARED


@pytest.fixture(autouse=True)
def by_itself():
    """A test has the same random numbers in any order, and leaves the process as it found it."""
    np.random.seed(0)
    if "mxnet" in sys.modules:
        sys.modules["mxnet"].random.seed(0)
    before = _process()
    yield
    assert _process() == before, "the test leaves variables or another working folder behind"


def _process():
    ours = ("MXNET", "OMP_", "OPENBLAS_", "DNNL_", "ONEDNN_")
    return os.getcwd(), {k: v for k, v in os.environ.items() if k.startswith(ours)}
