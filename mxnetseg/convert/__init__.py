"""Other people's checkpoints: one file per origin."""

from .base import SYSTEMS, from_original, to_original

__all__ = ["SYSTEMS", "from_original", "to_original"]
