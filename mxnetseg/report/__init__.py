"""A page that shows what was trained, how well it does, and where it fails."""

from .page import write

__all__ = ["write"]
