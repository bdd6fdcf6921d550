"""Networks. A new one: a file and its import here."""

from . import (  # noqa: F401
    acfnet,
    alignseg,
    attanet,
    attention_to_scale,
    bisenet,
    canetv1,
    canetv2,
    danet,
    deeplabv3,
    deeplabv3plus,
    denseaspp,
    eprnet,
    fapn,
    fcn,
    gffnet,
    ladderdensenet,
    mlmsnet,
    pidnet,
    pmsdsen,
    psanet,
    pspnet,
    pspnet_semseg,
    sanet,
    seenet,
    semanticfpn,
    setr,
    swiftnet,
    swiftnetpr,
)
from .base import SegmentationModel, names
from .factory import create, is_called
from .published import PUBLISHED

__all__ = ["PUBLISHED", "SegmentationModel", "create", "is_called", "names"]
