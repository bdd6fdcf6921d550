"""Layers that know nothing of segmentation networks. Everything is (N, C, H, W), float32."""

from .activation import Activation, PReLU
from .conv import ConvUnit, SeparableConv, activation, conv2d
from .fusion import LateralFusion
from .head import FCNHead
from .norm import BatchNorm
from .pyramid import GlobalFlow, PyramidPooling, global_pool
from .resize import interpolation_matrix, resize_like, upscale

__all__ = [
    "Activation",
    "BatchNorm",
    "ConvUnit",
    "FCNHead",
    "GlobalFlow",
    "LateralFusion",
    "PReLU",
    "PyramidPooling",
    "SeparableConv",
    "activation",
    "conv2d",
    "global_pool",
    "interpolation_matrix",
    "resize_like",
    "upscale",
]
