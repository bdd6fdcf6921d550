"""Backbones: images -> feature maps at four strides. A new one: a file and its import here."""

from . import densenet, eprnet, mobilenetv2, mobilenetv3, resnest, resnet, xception39, xception65  # noqa: F401
from .base import Backbone, create, names, registry

__all__ = ["Backbone", "create", "names", "registry"]
