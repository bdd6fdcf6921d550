"""Channels of equal range in front of depthwise convolutions, for 8-bit integers.

A map has one step for all channels, and the weights of a depthwise convolution differ widely: it
may raise a channel again that hardly used a tenth of the steps. Both sides of a ReLU can be scaled:
what one convolution multiplies a channel by, the next one divides by, and the result is the same.

    w relu(v x) = (w / s) relu(s v x),  s > 0

Weights have a step for each output channel, so that costs them nothing here.
Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019.
"""

import json
from typing import NamedTuple, Tuple

import mxnet as mx
import numpy as np

from . import summands

HEADROOM = 0.9
"""What the largest value seen in a channel becomes, as a share of the map's largest: others may be
larger than those of the images it is calibrated on."""
MOST = 256.0  # times; beyond it there is next to nothing in a channel


class Pair(NamedTuple):
    """A convolution with ReLU and the depthwise one that alone reads it.

    Attributes:
        name: the first one's operator. scaled: its parameters that a factor of its output scales.
        weight: the second one's.
    """

    name: str
    scaled: Tuple[str, ...]
    weight: str


def pairs(symbol, values):
    """All Pairs of a joined graph; ``values``: {name of a parameter: NDArray}."""
    graph = json.loads(symbol.tojson())
    nodes = graph["nodes"]
    often = {nodes[k]["name"] for k, times in summands.readings(graph).items() if times > 1}
    found = []
    for node in nodes:
        if node["op"] != summands.CONVOLUTION or not _is_depthwise(node):
            continue
        made = nodes[node["inputs"][0][0]]
        if made["op"] != summands.CONVOLUTION or not summands.is_rectified(made):
            continue
        pair = Pair(made["name"], _scaled(made), summands.parameters(node, "Convolution")[1])
        names = {made["name"], *pair.scaled, pair.weight}
        if pair.scaled and not names & often and names - {made["name"]} <= set(values):
            found.append(pair)
    return found


def equalized(values, highs, found):
    """The parameters with which the first of all Pairs use the whole range in each channel.

    Args:
        values: {name: NDArray}. highs: {name of an output: the largest value in each channel}.
    """
    values = dict(values)
    for pair in found:
        high = highs.get(summands.output(pair.name))
        if high is None:
            continue
        factor = HEADROOM * high.max() / np.maximum(high, 1e-30)
        factor = np.where(high > 0, np.clip(factor, 1, MOST), 1).astype(np.float32)
        for name in pair.scaled:
            values[name] = _times(values[name], factor)
        values[pair.weight] = _times(values[pair.weight], 1 / factor)
    return values


def _times(value, factor):
    """Every output channel, the first axis, times its factor."""
    return value * mx.nd.array(factor.reshape(-1, *[1] * (value.ndim - 1)))


def _is_depthwise(node):
    (attributes,) = [n["attrs"] for n in summands.inner(node) if n["op"] == "Convolution"]
    return 1 < int(attributes.get("num_group", 1)) == int(attributes["num_filter"])


def _scaled(node):
    norms = [each for each in summands.inner(node) if each["op"] == "BatchNorm"]
    if not norms:
        return tuple(summands.parameters(node, "Convolution")[1:])
    if summands.flag(norms[0], "fix_gamma", "True"):
        return ()
    return tuple(summands.parameters(node, "BatchNorm")[1:3])
