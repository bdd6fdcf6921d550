"""Backbones: images -> feature maps at four strides. A new one: a file and its import here."""

from . import mobilenetv2, resnet, xception39  # noqa: F401
from .base import Backbone, create, names

__all__ = ["Backbone", "create", "names"]
