"""Backbones: images -> feature maps at four strides. A new one: a file and its import here."""

from . import (  # noqa: F401
    densenet,
    eprnet,
    mobilenetv2,
    mobilenetv3,
    resnest,
    resnet,
    resnet_semseg,
    vit,
    xception39,
    xception65,
)
from .base import Backbone, create, names, registry

__all__ = ["Backbone", "create", "names", "registry"]
