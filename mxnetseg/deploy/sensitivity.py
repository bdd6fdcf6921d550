"""Which layers of a network stay in float when the rest becomes integers: found by measurement.

A *quantizer* has ``source``, the network in float32; ``groups``, its parts and their layers:
{part: {layer: names of its operators}}; and ``network(floating)``, the Quantized in which some of
the layers are in float.
"""

from typing import Any, NamedTuple, Tuple

import numpy as np

from ..errors import MXNetSegError


class Quantized(NamedTuple):
    """A network in integers.

    Attributes:
        file: what ``source`` of its quantizer is. floating: the parts and layers left in float.
    """

    file: Any
    floating: Tuple[str, ...] = ()


def part_of(name):
    """The part of the network that a parameter belongs to: the first two words of its name.

    ``backbone.layer1`` of ``backbone.layer1.0.conv.weight``, ``head`` of ``head.weight``.
    """
    words = name.split(".")
    return ".".join(words[:2]) if len(words) > 2 else words[0]


def operators(groups, floating):
    """The names of some layers' operators."""
    floating = set(floating)
    layers = [pair for layers in groups.values() for pair in layers.items()]
    return [name for layer, names in layers if layer in floating for name in names]


def summary(groups, floating):
    """Some layers' names; for all layers of a part, the part's."""
    floating, found = set(floating), []
    for part, layers in groups.items():
        chosen = [layer for layer in layers if layer in floating]
        found += [part] if len(chosen) == len(layers) else chosen
    return tuple(found)


def ranked(quantizer, choices, run, images, logits):
    """The choices, those first whose quantisation alone changes the logits most.

    Args:
        choices: {name: its layers}.
        run: function of a file -> function of normalised images.
        images: some normalised images. logits: those of the float network for them.

    Returns:
        A list of (name, root of the mean squared error as a share of the logits' standard
        deviation); infinite for one that cannot run.
    """
    every = [layer for layers in quantizer.groups.values() for layer in layers]
    found = []
    for name, layers in choices.items():
        others = [layer for layer in every if layer not in layers]
        try:
            infer = run(quantizer.network(others).file)
            error = [np.square(infer(x) - y).mean() for x, y in zip(images, logits)]
        except MXNetSegError:
            error = [np.inf]
        deviation = np.mean([np.var(y) for y in logits])
        found.append((name, float(np.sqrt(np.mean(error) / deviation))))
    return sorted(found, key=lambda pair: -pair[1])


def search(quantizer, score, run, images, limit):
    """The Quantized whose score is at least ``limit``, with few layers in float.

    Parts are left in float until it is enough: one, two, four ... of those that suffer most. Then
    their layers become integers again but for those that suffer most, as few as suffice.

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

    def order(choices):
        return [name for name, _ in ranked(quantizer, choices, run, images, logits)]

    if tried([]):
        return found[-1]
    float_run = run(quantizer.source)
    logits = [float_run(x) for x in images]
    parts, count = order(quantizer.groups), 1
    while count < len(parts):
        chosen = [layer for part in parts[:count] for layer in quantizer.groups[part]]
        if tried(chosen):
            return _fewest(found, tried, order({layer: [layer] for layer in chosen}))
        count *= 2
    if not found:
        raise failure
    return max(found, key=lambda pair: pair[1])


def _fewest(found, tried, layers):
    """The last of ``found``, or one with fewer of its layers in float, by bisection."""
    best, enough, few = found[-1], len(layers), 0
    while enough - few > 1:
        count = (enough + few) // 2
        if tried(layers[:count]):
            best, enough = found[-1], count
        else:
            few = count
    return best
