"""Data sets, transforms and the loader. NumPy only: nothing here needs MXNet arrays."""

from ..description import IGNORE
from ..palette import colorize, voc_palette
from . import browse, cache, check, presets, stats
from .cache import Cached, ReducedJpeg
from .content import DataError
from .datasets import FileDataset, create
from .images import read_image
from .labels import Info
from .loader import Batch, Loader
from .masks import read_mask
from .part import Part
from .sample import Sample
from .sources import info, names

__all__ = [
    "IGNORE",
    "Batch",
    "Cached",
    "DataError",
    "FileDataset",
    "Info",
    "Loader",
    "Part",
    "ReducedJpeg",
    "Sample",
    "browse",
    "cache",
    "check",
    "colorize",
    "create",
    "info",
    "names",
    "presets",
    "read_image",
    "read_mask",
    "stats",
    "voc_palette",
]
