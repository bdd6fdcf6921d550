"""Which parts of a network stay in float when the rest becomes integers: found by measurement.

A *quantizer* has ``source``, the network in float32; ``groups``, the names of its parts; and
``network(floating)``, the Quantized in which some of them are in float.
"""

from typing import Any, NamedTuple, Tuple

import numpy as np

from ..errors import MXNetSegError


class Quantized(NamedTuple):
    """A network in integers.

    Attributes:
        file: what ``source`` of its quantizer is. floating: the parts that were left in float.
    """

    file: Any
    floating: Tuple[str, ...] = ()


def part_of(name):
    """The part of the network that a parameter belongs to: the first two words of its name.

    ``backbone.layer1`` of ``backbone.layer1.0.conv.weight``, ``head`` of ``head.weight``.
    """
    words = name.split(".")
    return ".".join(words[:2]) if len(words) > 2 else words[0]


def ranked(quantizer, run, images, logits):
    """The groups, those first whose quantisation alone changes the logits most.

    Args:
        run: function of a file -> function of normalised images.
        images: some normalised images. logits: those of the float network for them.

    Returns:
        A list of (group, root of the mean squared error as a share of the logits' standard
        deviation); infinite for one that cannot run.
    """
    found = []
    for group in quantizer.groups:
        others = [name for name in quantizer.groups if name != group]
        try:
            infer = run(quantizer.network(others).file)
            error = [np.square(infer(x) - y).mean() for x, y in zip(images, logits)]
        except MXNetSegError:
            error = [np.inf]
        deviation = np.mean([np.var(y) for y in logits])
        found.append((group, float(np.sqrt(np.mean(error) / deviation))))
    return sorted(found, key=lambda pair: -pair[1])


def search(quantizer, score, run, images, limit):
    """The Quantized whose score is at least ``limit``, with few parts in float.

    Args:
        score: function of a file -> its score.
        run, images: see :func:`ranked`.

    Returns:
        (Quantized, its score); the best one if all lose more.

    Raises:
        MXNetSegError: none can run.
    """
    found, failure = [], None

    def tried(floating):
        nonlocal failure
        network = None
        try:
            network = quantizer.network(floating)
            found.append((network, score(network.file)))
        except MXNetSegError as error:
            failure = error
        return bool(found) and found[-1][0] is network and found[-1][1] >= limit

    if not tried([]):
        float_run = run(quantizer.source)
        order = ranked(quantizer, run, images, [float_run(x) for x in images])
        count = 1
        while count < len(order) and not tried([group for group, _ in order[:count]]):
            count *= 2
    if not found:
        raise failure
    if found[-1][1] >= limit:
        return found[-1]
    return max(found, key=lambda pair: pair[1])
