"""Ways of running a network prove that they are right, and then take turns."""

import time
from dataclasses import dataclass, field
from typing import Any, List, NamedTuple, Optional

import mxnet as mx
import numpy as np

from .. import speed
from ..errors import MXNetSegError, UsageError
from ..inference.logits import read
from . import proof, ways

GAIN = 0.97  # of the time of the usual way that another has to stay below: less is noise
HOPEFUL = 1.5  # of the best time so far, to be measured on in a quick race
SMALL = (232, 328)  # of a part of the image on which ways are tried too


class Example(NamedTuple):
    """What a network is given: images (N, H, W, C), and (height, width) that they are padded to."""

    images: np.ndarray
    padded: Optional[tuple] = None


@dataclass
class Entry:
    """A way, and how it fares.

    Attributes:
        way: Way. run: function without arguments: one pass. backend: where it is in this process.
        why: why it does not take part; "" if it does.
        verdict: proof.Verdict. seconds: of its passes.
    """

    way: Any
    run: Any = None
    backend: Any = None
    why: str = ""
    verdict: Any = None
    seconds: List[float] = field(default_factory=list)


def examples(example, fixed_size=None):
    """What a way has to be right on: the example, and a small part of it."""
    height, width = (min(a, b) for a, b in zip(SMALL, example.images.shape[1:3]))
    if fixed_size or (height, width) == example.images.shape[1:3]:
        return [example]
    return [example, Example(np.ascontiguousarray(example.images[:1, :height, :width]))]


def enter(subject, choices, tried, devices=None, wanted=None):
    """Start ways, and hold each against what is wanted.

    A way of lower precision than the file takes part only if the same way in float32 does.

    Args:
        subject: Subject. choices: list of Way.
        tried: list of Example; the first is what will be measured.
        wanted: list of proof.Wanted for ``tried``; by default of what the first way gives.

    Returns:
        A list of Entry, and ``wanted``.
    """
    entries = []
    for way in choices:
        entry = Entry(way)
        entries.append(entry)
        try:
            backend = ways.start(way, subject, devices)
            found = [read(backend(e.images, e.padded)) for e in tried]
            if wanted is None:
                wanted = _wanted(way, backend, found, tried)
            if way.precision == "bf16" and wanted[0].noise is None:
                coarse = ways.rounded(subject, way)
                logits = [read(coarse(e.images, e.padded)) for e in tried]
                wanted = [_with_noise(w.logits, x) for w, x in zip(wanted, logits)]
        except (UsageError, MXNetSegError, mx.MXNetError, ImportError) as error:
            if wanted is None:
                raise  # this is how the network is run anyway
            entry.why = (str(error).strip() or type(error).__name__).splitlines()[-1]
            continue
        same = way._replace(precision="float32")
        if way.precision == "bf16" and any(e.why for e in entries if e.way == same):
            entry.why = f"{same} takes no part"
            continue
        verdicts = [
            proof.compare(x, w.logits, proof.limits(way.precision, w.noise))
            for x, w in zip(found, wanted)
        ]
        entry.verdict = max(verdicts, key=lambda v: (not v.equal, v.rms))
        if not entry.verdict.equal:
            entry.why = f"not equal: {entry.verdict}"
            continue
        entry.backend = backend
        entry.run = lambda backend=backend: read(backend(tried[0].images, tried[0].padded))
    return entries, wanted


def _wanted(way, backend, found, tried):
    """A list of Wanted of what the first way gives; of integers with their noise."""
    if way.precision == "float32":
        return [proof.Wanted(logits) for logits in found]
    return [_with_noise(x, proof.disturbed(backend, e)) for x, e in zip(found, tried)]


def _with_noise(logits, other):
    return proof.Wanted(logits, proof.compare(other, logits).rms)


def running(entries):
    """Those that take part."""
    return [entry for entry in entries if not entry.why]


def usual(entries):
    """The entry that is taken where nothing is faster: MXNet as it comes, or the first."""
    alive = running(entries)
    for way in (ways.USUAL, ways.PLAIN):
        for entry in alive:
            if entry.way._replace(threads=None) == way and not entry.way.threads:
                return entry
    return alive[0]


def quick(entries, seconds=3.0, turns=3):
    """Let entries take turns for some seconds; who is far behind drops out after the first."""
    start, alive, number = time.perf_counter(), running(entries), 0
    while number < 2 or (number < turns or time.perf_counter() - start < seconds):
        once = speed.turn({k: entry.run for k, entry in enumerate(alive)}, number)
        for k, entry in enumerate(alive):
            entry.seconds.append(once[k])
        if number == 0:
            best = min(entry.seconds[0] for entry in alive)
            first = usual(entries)
            alive = [e for e in alive if e is first or e.seconds[0] <= HOPEFUL * best]
        number += 1
        if number >= 2 and time.perf_counter() - start > 2 * seconds or number >= 50:
            break


def ratio(entry, first):
    """The median of an entry's times over those of another in the same turns."""
    count = min(len(entry.seconds), len(first.seconds))
    return float(np.median(np.divide(entry.seconds[:count], first.seconds[:count])))


def best(entries):
    """The entry to take, and its share of the time of the usual one, which it beats or is.

    What else the machine does can fool a median, and luck a minimum: the worse of both counts.
    """
    first = usual(entries)
    if not first.seconds:
        return first, 1.0
    counted = [e for e in running(entries) if len(e.seconds) >= len(first.seconds)]
    shares = [max(ratio(e, first), min(e.seconds) / min(first.seconds)) for e in counted]
    least, k = min((share, k) for k, share in enumerate(shares))
    return (counted[k], least) if least <= GAIN else (first, 1.0)


def origin(entries, precision):
    """What a choice was made of, as JSON.

    Args:
        precision: the lowest that was asked for.

    Returns:
        ``usual``; ``left_out``: why no way of that precision takes part, a sentence, or None.
    """
    lower = [entry for entry in entries if entry.way.precision == precision]
    why = lower[-1].why if lower and not running(lower) else ""
    return {
        "usual": str(usual(entries).way),
        "left_out": f"{precision} takes no part: {why}" if why else None,
    }
