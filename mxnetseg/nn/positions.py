"""Positions along an axis, as numbers in a graph."""


def positions(F, like, axis):
    """0, 1, ... (n,), one for each place along ``axis`` of ``like``; no gradient flows into it.

    They have the dtype of ``like``. Half precision would not hold them: bfloat16 counts to 256 and
    float16 to 2048, and positions between two pixels are coarse much earlier. So training in half
    precision leaves this operator, and what is computed from it, in float32: see
    :mod:`mxnetseg.training.lowering`.
    """
    return F.contrib.arange_like(like, axis=axis)
