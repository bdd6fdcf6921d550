"""Scores of predictions against masks."""

from .accuracy import Accuracy
from .confusion import ConfusionMatrix

__all__ = ["Accuracy", "ConfusionMatrix"]
