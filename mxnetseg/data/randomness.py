"""The generators of training: who draws what is decided by numbers, not by who asks first."""

import numpy as np

from ..errors import UsageError

# NumPy's seeds ignore trailing zeros: the first word keeps the two kinds apart.
_ORDER, _SAMPLE = 1, 2


def sample_rng(seed, epoch, index):
    """The generator of a sample: a pure function of the three, whoever loads it."""
    return np.random.default_rng([_SAMPLE, *_words(seed), *_words(epoch), *_words(index)])


def order_rng(seed, epoch):
    """The generator of an epoch's order."""
    return np.random.default_rng([_ORDER, *_words(seed), *_words(epoch)])


def _words(number):
    if number < 0:
        raise UsageError(f"The seed {number} must not be negative.")
    number = int(number)
    return number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF
