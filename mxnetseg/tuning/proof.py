"""Whether a way of running a network gives what the first way gives: MXNet's plain float32.

In float32 there is one limit for all networks. In lower precision there is none: on images of
CamVid, OpenVINO's bfloat16 moved the logits of nine trained networks by 0.006 (PIDNet) to 0.095
(MobileNetV2) of their standard deviation; a layer without its ReLU, or with another's weights,
moves those of PIDNet by 0.05. So how far rounding moves a network is measured on the spot, its
*noise*, and a way may be off by three times that:

* bf16: parameters rounded to bfloat16, all else in float32. Right results were off by 0.6 to 1.8 of
  it (26 cases). Of 79 networks with one wrong layer 48 were further off than three times the noise;
  the others lie within what rounding does, where no limit can tell. So the same runtime has to
  prove the graph in float32, too: what is left to be wrong are its functions for bfloat16.
* int8: the network in integers, with noise of 1/10000 on the image: that moves values that lie
  between two steps, as other ways of rounding do. Right results (ONNX Runtime's, with and without
  its optimisations, and OpenVINO's; ``streets`` and FCN) were off by 0.7 to 1.1 of it; wrong ones
  of OpenVINO 2026.4, for inputs of any size, by 7 and more.
"""

from typing import NamedTuple, Optional

import numpy as np

from ..inference.backend import TOLERANCE
from ..packages import onnx

FACTOR = 3.0
MOST = 0.3  # a coarser network proves nothing; whole parts that are wrong are further off
LEAST = 2.0**-8  # one rounding of a value to the 8 bits of bfloat16
DISTURBANCE = 1e-4  # on the normalised image


class Limits(NamedTuple):
    """What is permitted.

    Attributes:
        rms: root of the mean square of the differences, as a share of the logits' deviation.
        agree: least share of the pixels with the same class, of the clear ones: where the two best
            differ by more than twice ``rms``, so that an error of that size cannot turn them.
        any: what no difference has to exceed, to be right whatever the others say.
    """

    rms: float
    agree: float
    any: float = 0.0


FLOAT32 = Limits(TOLERANCE, 0.9999, TOLERANCE)


def limits(precision, noise):
    """The Limits of "float32", "bf16" or "int8", for a network with some noise."""
    if precision == "float32":
        return FLOAT32
    return Limits(min(MOST, FACTOR * max(noise, LEAST)), 0.99)


class Wanted(NamedTuple):
    """The right logits (N, C, h, w), and how far rounding moves them; None: not measured."""

    logits: np.ndarray
    noise: Optional[float] = None


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


def compare(found, wanted, allowed=FLOAT32):
    """Hold logits against the right ones, both (N, C, h, w).

    In float32 they are equal where no value differs by more than 1/1000 of the standard deviation.
    Some networks amplify rounding at a few places: then the classes of 99.99 % of the pixels where
    the two best differ clearly have to agree, and the root of the mean square has to keep that
    limit. In lower precision the latter counts, with its own Limits.
    """
    if found.shape != wanted.shape or not np.isfinite(found).all():
        return Verdict(False, np.inf, np.inf, 0.0)
    deviation = float(wanted.std()) or 1.0
    difference = np.abs(found - wanted)
    largest = float(difference.max()) / deviation
    rms = float(np.sqrt(np.mean(np.square(difference, dtype=np.float64)))) / deviation
    agreement = _agreement(found, wanted, 2 * allowed.rms * deviation)
    equal = largest <= allowed.any or (rms <= allowed.rms and agreement >= allowed.agree)
    return Verdict(bool(equal), rms, largest, agreement)


def _agreement(found, wanted, margin):
    if wanted.shape[1] < 2:
        return 1.0
    best = np.partition(wanted, -2, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > margin
    same = found.argmax(axis=1) == wanted.argmax(axis=1)
    return float(same[clear].mean()) if clear.any() else 1.0


# --- noise ---------------------------------------------------------------------------------------


def disturbed(backend, example):
    """What a backend makes of an Example with a little noise on it."""
    x = backend.normalized(example.images, example.padded)
    noise = np.random.RandomState(0).normal(0, DISTURBANCE, x.shape)
    return backend.run(x + noise.astype(np.float32))


def rounded(file):
    """A NetworkFile with parameters of bfloat16's 8 bits."""
    model = onnx().ModelProto()
    model.CopyFrom(file.model)
    for tensor in model.graph.initializer:
        if tensor.dims and tensor.data_type == onnx().TensorProto.FLOAT:
            values = _bfloat16(onnx().numpy_helper.to_array(tensor))
            tensor.CopyFrom(onnx().numpy_helper.from_array(values, tensor.name))
    return file._replace(model=model)


def _bfloat16(values):
    """float32, each the nearest that has 8 bits."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    odd = (bits >> 16) & 1  # halves go to the even one
    return ((bits + 0x7FFF + odd) & 0xFFFF0000).astype(np.uint32).view(np.float32)
