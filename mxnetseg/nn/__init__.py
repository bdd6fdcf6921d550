"""Layers that know nothing of segmentation networks. Everything is (N, C, H, W), float32."""

from .activation import Activation, PReLU, relu
from .attention import SelfAttention, map_of_positions
from .batch_norm import BatchNorm, unbiased_variance
from .concat import concat, concat_equal
from .conv import (
    ConvUnit,
    SeparableConv,
    activation,
    conv2d,
    conv_unit,
    numbered,
    pre_activated,
    sequential,
)
from .dappm import APPPM, DAPPM, PAPPM, average_pool, pooling_cascade
from .devices import forward, synchronised
from .enhancement import GlobalConv, SemanticEnhancement
from .form import whole_operators
from .fusion import LateralFusion
from .gate import EfficientChannelAttention
from .head import FCNHead, PreActHead, sequential_head
from .norm import GroupNorm, norm_layer, use_norm, used_norm
from .normalize import Normalize
from .positions import positions
from .pyramid import ASPP, GlobalFlow, GlobalPool, PyramidPooling, global_pool, pool_by
from .residual import BasicBlock, Bottleneck, basic_stage
from .resize import interpolation_matrix, resize_like, resize_to_stride, upscale
from .sampling import ModulatedDeformableConv, warp
from .two_graphs import TwoGraphBlock

__all__ = [
    "APPPM",
    "ASPP",
    "DAPPM",
    "PAPPM",
    "Activation",
    "BasicBlock",
    "BatchNorm",
    "Bottleneck",
    "ConvUnit",
    "EfficientChannelAttention",
    "FCNHead",
    "GlobalConv",
    "GlobalFlow",
    "GlobalPool",
    "GroupNorm",
    "LateralFusion",
    "ModulatedDeformableConv",
    "Normalize",
    "PReLU",
    "PreActHead",
    "PyramidPooling",
    "SelfAttention",
    "SemanticEnhancement",
    "SeparableConv",
    "TwoGraphBlock",
    "activation",
    "average_pool",
    "basic_stage",
    "concat",
    "concat_equal",
    "conv2d",
    "conv_unit",
    "forward",
    "global_pool",
    "interpolation_matrix",
    "map_of_positions",
    "norm_layer",
    "numbered",
    "pool_by",
    "pooling_cascade",
    "positions",
    "pre_activated",
    "relu",
    "resize_like",
    "resize_to_stride",
    "sequential",
    "sequential_head",
    "synchronised",
    "unbiased_variance",
    "upscale",
    "use_norm",
    "used_norm",
    "warp",
    "whole_operators",
]
