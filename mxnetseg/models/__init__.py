"""Networks. A new one: a file and its import here."""

from . import bisenet, fcn, pidnet, sanet, swiftnet  # noqa: F401
from .base import SegmentationModel, create, names

__all__ = ["SegmentationModel", "create", "names"]
