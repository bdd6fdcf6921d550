"""What all tests share."""

import ctypes
import gc
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
    _return_memory()


def _process():
    ours = ("MXNET", "OMP_", "OPENBLAS_", "DNNL_", "ONEDNN_")
    return os.getcwd(), {k: v for k, v in os.environ.items() if k.startswith(ours)}


def _return_memory(limit=2e9):
    """Above ``limit`` bytes give back what is free.

    What MXNet frees stays with glibc in pieces: over all tests that makes more than 10 GB.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        if pages * os.sysconf("SC_PAGE_SIZE") > limit:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not Linux, or not glibc
        pass
