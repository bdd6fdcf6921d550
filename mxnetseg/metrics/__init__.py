"""Scores of predictions against masks."""

from .confusion import ConfusionMatrix

__all__ = ["ConfusionMatrix"]
