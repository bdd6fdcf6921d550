"""Layers that know nothing of segmentation networks. Everything is (N, C, H, W), float32."""

from .activation import Activation, PReLU, relu
from .attention import SelfAttention, map_of_positions
from .concat import concat, concat_equal
from .conv import ConvUnit, SeparableConv, activation, conv2d, pre_activated, sequential
from .dappm import APPPM, DAPPM, PAPPM, average_pool, pooling_cascade
from .enhancement import GlobalConv, SemanticEnhancement
from .form import whole_operators
from .fusion import LateralFusion
from .gate import EfficientChannelAttention
from .head import FCNHead, PreActHead, sequential_head
from .norm import BatchNorm, TwoGraphBlock, unbiased_variance
from .normalize import Normalize
from .pyramid import ASPP, GlobalFlow, GlobalPool, PyramidPooling, global_pool, pool_by
from .residual import BasicBlock, Bottleneck, basic_stage
from .resize import interpolation_matrix, resize_like, resize_to_stride, upscale
from .sampling import ModulatedDeformableConv, warp

__all__ = [
    "APPPM",
    "ASPP",
    "DAPPM",
    "ModulatedDeformableConv",
    "Normalize",
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
    "LateralFusion",
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
    "global_pool",
    "interpolation_matrix",
    "map_of_positions",
    "pool_by",
    "pooling_cascade",
    "pre_activated",
    "relu",
    "resize_like",
    "resize_to_stride",
    "sequential",
    "sequential_head",
    "unbiased_variance",
    "upscale",
    "warp",
    "whole_operators",
]
