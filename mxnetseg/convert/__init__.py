"""Other people's checkpoints: one file per origin."""

from .base import create, from_original, load_fitting, original_names, to_original
from .origins import SYSTEMS

__all__ = [
    "SYSTEMS",
    "create",
    "from_original",
    "load_fitting",
    "original_names",
    "to_original",
]
