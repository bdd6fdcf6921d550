"""Data sets, transforms and the loader. NumPy only: nothing here needs MXNet arrays."""

from . import check, transforms
from .datasets import FileDataset, Sample, create
from .files import DataError, read_image, read_mask
from .loader import Batch, Loader
from .palette import colorize, voc_palette, write_palette_png
from .spec import IGNORE, Info, info, names

__all__ = [
    "IGNORE",
    "Batch",
    "DataError",
    "FileDataset",
    "Info",
    "Loader",
    "Sample",
    "check",
    "colorize",
    "create",
    "info",
    "names",
    "read_image",
    "read_mask",
    "transforms",
    "voc_palette",
    "write_palette_png",
]
