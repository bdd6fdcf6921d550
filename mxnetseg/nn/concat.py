"""Concatenation along the channels."""


def concat_equal(F, *maps):
    """k maps of one shape (N, C, H, W) -> (N, kC, H, W).

    For a C that is no multiple of 16. There, in front of a convolution, the gradient of MXNet
    1.9.1's concat fails on CPUs: oneDNN holds it in blocks of 8 or 16 channels and cannot cut a
    block (a division by zero that ends the process, or "could not construct a sub-memory").
    """
    return F.reshape(F.stack(*maps, axis=1), shape=(0, -3, -2))
