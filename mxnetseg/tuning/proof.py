"""Whether a way of running a network gives what MXNet's plain float32 gives."""

from typing import NamedTuple

import numpy as np

from ..deploy.verify import TOLERANCE

AGREE = 0.9999  # of the pixels where the two best classes differ clearly
CLEAR = 2 * TOLERANCE  # of the deviation: the least by which a larger error can turn two classes


class Verdict(NamedTuple):
    """What a comparison found.

    Attributes:
        equal: whether the logits are the same for all that follows.
        rms: of the differences, largest: their largest; shares of the logits' standard deviation.
        agreement: share of the clear pixels that have the same class; 1 where there are none.
    """

    equal: bool
    rms: float
    largest: float
    agreement: float

    def __str__(self):
        return f"differs by {self.rms:.0e} of the logits' deviation, {self.agreement:.2%} agree"


def compare(found, wanted):
    """Hold logits against those of MXNet's float32, both (N, C, h, w).

    They are equal where no value differs by more than 1/1000 of the standard deviation. Some
    networks amplify rounding at a few places: then the classes of 99.99 % of the pixels where the
    two best differ clearly have to agree, and the root of the mean square has to keep that limit.
    """
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return Verdict(False, np.inf, np.inf, 0.0)
    deviation = float(wanted.std()) or 1.0
    difference = np.abs(found - wanted)
    largest = float(difference.max()) / deviation
    rms = float(np.sqrt(np.mean(np.square(difference, dtype=np.float64)))) / deviation
    agreement = _agreement(found, wanted, CLEAR * deviation)
    equal = largest <= TOLERANCE or (rms <= TOLERANCE and agreement >= AGREE)
    return Verdict(bool(equal), rms, largest, agreement)


def _agreement(found, wanted, margin):
    if wanted.shape[1] < 2:
        return 1.0
    best = np.partition(wanted, -2, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > margin
    same = found.argmax(axis=1) == wanted.argmax(axis=1)
    return float(same[clear].mean()) if clear.any() else 1.0
