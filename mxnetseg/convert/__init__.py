"""Other people's checkpoints: one file per origin."""

from .base import SYSTEMS, from_original, load_fitting, to_original

__all__ = ["SYSTEMS", "from_original", "load_fitting", "to_original"]
