"""Concatenation along the channels."""

from itertools import accumulate

from .form import takes_operator


def concat_equal(F, *maps):
    """k maps of one shape (N, C, H, W) -> (N, kC, H, W).

    For a C that is no multiple of 16. There, in front of a convolution, the gradient of MXNet
    1.9.1's concat fails on CPUs: oneDNN holds it in blocks of 8 or 16 channels and cannot cut a
    block (a division by zero that ends the process, or "could not construct a sub-memory").
    """
    if takes_operator():
        return F.concat(*maps, dim=1)
    return F.reshape(F.stack(*maps, axis=1), shape=(0, -3, -2))


def concat(F, maps, channels):
    """Maps (N, C_i, H, W) of any C_i = ``channels`` -> (N, sum of C_i, H, W).

    Plain where every map but the last fills whole blocks of 16 channels. Elsewhere the maps are
    joined as (N, C_i, HW), where MXNet does not ask oneDNN (see :func:`concat_equal`).
    """
    if takes_operator() or all(begin % 16 == 0 for begin in list(accumulate(channels))[:-1]):
        return F.concat(*maps, dim=1)
    flat = F.concat(*(F.reshape(m, shape=(0, 0, -1)) for m in maps), dim=1)
    return F.reshape_like(flat, maps[0], lhs_begin=2, lhs_end=3, rhs_begin=2, rhs_end=4)
