"""What all tests share."""

from pathlib import Path

import pytest

import mxnetseg  # noqa: F401  before any test imports mxnet: it prepares the process

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The folder of real images beside the checkout; tests skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the folder {SHARED.name} beside the checkout")
    return SHARED
