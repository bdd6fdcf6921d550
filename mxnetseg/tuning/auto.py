"""What ``--runtime auto`` takes: the choice of before, or what a few seconds of measuring say."""

import contextlib

import numpy as np

from ..columns import counted
from ..errors import MXNetSegError, UsageError
from ..inference import large
from ..inference.backend import fitting_size
from . import crew, memory, race, ways
from .race import Example

WORDS = {
    "float32": "equal results",
    "bf16": "results as near as bfloat16 can be",
    "int8": "results that are equal but for rounding",
}
"""What a way of a precision has, if it takes part."""

LOOKS = 32  # passes of the protocol over an image that are looked at


def start(subject, devices, first, lower=None):
    """A backend, and a sentence or two that say which way it takes and why.

    Args:
        subject: Subject. devices: as --ctx has them, or None.
        first: function without arguments -> (an image, the Protocol).
        lower: "bf16" if ways of that precision take part; see ``ways.of``.
    """
    example = seen(subject, *first())
    precision = lower or subject.precision
    about = memory.facts(subject.identity, shape(subject, example), devices, precision)
    choice = memory.recall(about)
    if choice and type(choice.get("ratio")) is float and type(choice.get("usual")) is str:
        way = ways.from_json(choice.get("way"))
        try:
            if way is not None:
                backend = ways.start(way, subject, devices)
                return backend, _text(way, choice, about, "measured before")
        except (UsageError, MXNetSegError) as error:
            memory.say(f"{way}, chosen before, does not run: {error}")
    entries = _quick(subject, example, devices, lower)
    entry, least = race.best(entries)
    choice = {
        "way": ways.as_json(entry.way), "ratio": least, "thorough": False,
        **race.origin(entries, precision),
    }  # fmt: skip
    memory.remember(about, choice)
    return entry.backend, _text(entry.way, choice, about, "measured now")


def _quick(subject, example, devices, lower):
    tried = race.examples(example, subject.rules.fixed_size)
    choices = ways.of(subject, devices, True, lower)
    if not choices:
        raise UsageError(f"Nothing that is installed runs {subject.path}.")
    entries, _ = crew.enter(subject, choices, tried, devices)
    if len(race.running(entries)) > 1:
        race.quick(entries)
    return entries


def _text(way, choice, about, when):
    count = ways.as_json(way)["threads"]
    size = "x".join(map(str, about["input"]))
    if str(way) == choice.get("usual"):
        why = "nothing that is installed and equal is clearly faster"
    else:
        why = f"{choice['ratio']:.2f} of the time of {choice['usual']}, with "
        why += WORDS[way.precision]
    said = f"runtime auto: {way}, {counted(count, 'thread')}: {why} ({size}, {when})"
    return said + (f"\n{choice['left_out']}" if choice.get("left_out") else "")


def shape(subject, example):
    """(N, rows, columns) that the network sees of an Example."""
    count, height, width = example.images.shape[:3]
    size = fitting_size(subject.rules, *(example.padded or (height, width)), "The network")
    return (count, *size)


class _Enough(Exception):
    pass


class _Onlooker:
    """A backend that notes what a protocol asks of a network, and answers zeros."""

    devices = 1
    align_corners = True

    def __init__(self, subject):
        about = subject.saved.description
        self.num_classes, self.fill = about.num_classes, [255 * m for m in about.mean]
        self._rules, self.calls = subject.rules, []

    def padded_size(self, height, width):
        return fitting_size(self._rules, height, width, "The network")

    def __call__(self, images, padded=None, context=0):
        self.calls.append(Example(images, padded))
        if len(self.calls) >= LOOKS:
            raise _Enough
        rows, columns = self.padded_size(*(padded or images.shape[1:3]))
        return _Zeros((len(images), self.num_classes, -(-rows // 8), -(-columns // 8)))


class _Zeros:
    def __init__(self, size):
        self._size = size

    def asnumpy(self):
        return np.zeros(self._size, np.float32)


def seen(subject, image, protocol):
    """The largest Example that a network is given when an image goes through a protocol."""
    onlooker = _Onlooker(subject)
    if image.shape[2] != len(onlooker.fill):
        raise UsageError(
            f"The network takes images of {len(onlooker.fill)} channels, not {image.shape[2]}."
        )
    with contextlib.suppress(_Enough):
        large.classify(onlooker, image, protocol)
    return max(onlooker.calls, key=lambda call: np.prod(call.images.shape[:3]))
