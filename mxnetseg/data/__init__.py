"""Data sets, transforms and the loader. NumPy only: nothing here needs MXNet arrays."""

from ..palette import colorize, voc_palette, write_palette_png
from . import browse, cache, check, stats, transforms
from .cache import Cached, ReducedJpeg
from .datasets import FileDataset, Sample, create
from .files import DataError, read_image, read_mask
from .loader import Batch, Loader
from .spec import IGNORE, Info, info, names

__all__ = [
    "IGNORE",
    "Batch",
    "Cached",
    "DataError",
    "FileDataset",
    "Info",
    "Loader",
    "ReducedJpeg",
    "Sample",
    "browse",
    "cache",
    "check",
    "colorize",
    "create",
    "info",
    "names",
    "read_image",
    "read_mask",
    "stats",
    "transforms",
    "voc_palette",
    "write_palette_png",
]
