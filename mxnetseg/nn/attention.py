"""Attention between the positions of a map."""

from mxnet import init
from mxnet.gluon import nn

from .conv import conv2d


def flatten_positions(F, x):
    """(N, C, H, W) -> (N, C, HW), row-major."""
    return F.reshape(x, shape=(0, 0, -1))


def map_of_positions(F, x, like):
    """(N, HW, C) -> (N, C, H, W) with the height and width of ``like``; no gradient flows there.

    The transposition comes last, because oneDNN hands the gradient of a convolution back in a
    layout of its own. ``reshape_like`` does not see that and takes it for a plain one (an error,
    the end of the process, or wrong numbers); ``transpose`` does.
    """
    like = F.BlockGrad(like)
    x = F.reshape_like(x, like, lhs_begin=1, lhs_end=2, rhs_begin=2, rhs_end=4)
    return F.transpose(x, axes=(0, 3, 1, 2))


class SelfAttention(nn.HybridBlock):
    """Position attention (non-local block): x + gamma * (values, averaged over all positions).

    The weights are the softmax over the keys of query . key, unscaled. ``gamma`` (1,) is learned
    and starts from 0: until it has moved, queries, keys and values get no gradient. The weights
    are (N, HW, HW): at stride 8 a crop of 768 x 768 takes 340 MB an image.

    Args:
        in_channels: C of the input and the output (N, C, H, W).
        channels: of queries and keys; by default ``in_channels // 8``.
    """

    def __init__(self, in_channels, channels=None):
        super().__init__()
        channels = channels or in_channels // 8
        self.query_conv = conv2d(in_channels, channels)
        self.key_conv = conv2d(in_channels, channels)
        self.value_conv = conv2d(in_channels, in_channels)
        self.gamma = self.params.get("gamma", shape=(1,), init=init.Zero())

    def hybrid_forward(self, F, x, gamma):
        query = flatten_positions(F, self.query_conv(x))
        key = flatten_positions(F, self.key_conv(x))
        value = flatten_positions(F, self.value_conv(x))
        weights = F.softmax(F.batch_dot(query, key, transpose_a=True), axis=-1)
        y = F.reshape_like(F.batch_dot(value, weights, transpose_b=True), x)
        return F.broadcast_mul(y, F.reshape(gamma, shape=(1, 1, 1, 1))) + x
