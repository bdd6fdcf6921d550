"""Other people's checkpoints: one file per origin."""

from .base import SYSTEMS, create, from_original, load_fitting, original_names, to_original

__all__ = [
    "SYSTEMS",
    "create",
    "from_original",
    "load_fitting",
    "original_names",
    "to_original",
]
