"""MXNetSeg: semantic segmentation on MXNet 1.9 / Gluon."""

from . import runtime

runtime.prepare()

from .version import __version__  # noqa: E402

__all__ = ["__version__"]
