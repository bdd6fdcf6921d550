"""ImageNet's weights for images with other than three channels."""

import mxnet as mx


def fit_channels(weights, shape):
    """The weights of a convolution of RGB images (O, 3, k, k) as (O, C, k, k) = ``shape``.

    Fewer than three channels get the mean of the three; beyond three, the first three keep theirs
    and the others get the mean. All are scaled so that an image whose channels are alike gives
    what it gave before. Anything else is returned as it is.
    """
    if weights.ndim != 4 or weights.shape[1] != 3 or len(shape) != 4 or shape[1] == 3:
        return weights
    if (shape[0], *shape[2:]) != (weights.shape[0], *weights.shape[2:]):
        return weights
    mean = weights.mean(axis=1, keepdims=True)
    parts = [weights] + [mean] * (shape[1] - 3) if shape[1] > 3 else [mean] * shape[1]
    return mx.nd.concat(*parts, dim=1) * (3 / shape[1])
