"""Data sets, transforms and the loader. NumPy only: nothing here needs MXNet arrays."""

from .check import check_dataset
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
    "check_dataset",
    "colorize",
    "create",
    "info",
    "names",
    "read_image",
    "read_mask",
    "voc_palette",
    "write_palette_png",
]
