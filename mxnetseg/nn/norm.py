"""Norms, and which of them a network is made of.

All networks and backbones make their norms by :func:`norm_layer`, which asks :func:`use_norm`::

    with use_norm("group"):
        net = FCN(19, backbone)
"""

import contextlib
from contextvars import ContextVar

from mxnet.gluon import nn

from ..registry import unknown
from .batch_norm import BatchNorm

GROUPS = 32
GROUP_WIDTH = 4  # of the narrowest group: behind global pooling it is all that a norm sees
NORMS = ("batch", "sync_batch", "group")

_chosen = ContextVar("norm", default="batch")


@contextlib.contextmanager
def use_norm(name):
    """Within: :func:`norm_layer` makes norms of this kind.

    Args:
        name: "batch", "sync_batch" or "group", see ``models.create``.

    Raises:
        UsageError: another name.
    """
    if name not in NORMS:
        raise unknown("norm", name, NORMS)
    token = _chosen.set(name)
    try:
        yield
    finally:
        _chosen.reset(token)


def used_norm():
    """The name of the norm that :func:`norm_layer` makes here."""
    return _chosen.get()


def norm_layer(channels, epsilon=1e-5):
    """The norm for a map (N, channels, H, W): by default a :class:`BatchNorm`."""
    if used_norm() == "group":
        return GroupNorm(channels, epsilon)
    norm = BatchNorm(channels, epsilon)
    norm.synchronised = used_norm() == "sync_batch"
    return norm


class GroupNorm(nn.HybridBlock):
    """Group norm: every image by itself, over groups of neighbouring channels; no running values.

    Wu and He, Group Normalization, ECCV 2018, arXiv 1803.08494: (x - mean) / sqrt(variance +
    epsilon) over a group's channels and all positions, then a scale and a shift per channel. 32
    groups as in the paper, or the largest number below that divides the channels and leaves four
    to a group: behind global pooling a group of one would always be 0, of two always -1 and 1.

    Attributes:
        groups: their number.
    """

    def __init__(self, channels, epsilon=1e-5):
        super().__init__()
        self.groups = group_count(channels)
        self._channels, self._epsilon = channels, epsilon
        self.gamma = self.params.get("gamma", shape=(channels,), init="ones")
        self.beta = self.params.get("beta", shape=(channels,), init="zeros")

    def hybrid_forward(self, F, x, gamma, beta):
        # MXNet 1.9.1's operator has a scale and a shift per group; a depthwise convolution is a
        # third of broadcasting's time.
        one = F.slice_axis(F.ones_like(gamma), axis=0, begin=0, end=self.groups)
        y = F.GroupNorm(x, one, F.zeros_like(one), num_groups=self.groups, eps=self._epsilon)
        options = dict(kernel=(1, 1), num_filter=self._channels, num_group=self._channels)
        return F.Convolution(y, F.reshape(gamma, shape=(-1, 1, 1, 1)), beta, **options)


def group_count(channels):
    """How many groups a :class:`GroupNorm` of so many channels has."""
    most = min(GROUPS, max(channels // GROUP_WIDTH, 1))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)
