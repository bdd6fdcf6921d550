"""``mxnetseg speed --tune``: all ways, all numbers of threads, in turns; the best is remembered."""

import contextlib

import numpy as np

from .. import runtime, speed
from ..columns import aligned, counted
from ..errors import MXNetSegError, UsageError
from . import auto, crew, memory, race, ways

FINALISTS = 2  # ways that are measured with other numbers of threads


def tune(subject, example, devices, how, bar=None, lower=None):
    """Measure, choose and remember.

    Args:
        subject: Subject. example: race.Example. devices: as --ctx has them, or None.
        how: speed.Convention: its passes. lower: see ``ways.of``.

    Returns:
        JSON: ``input``, ``versions``, ``choice``, and ``rounds``: lists of what was measured in the
        same turns; first all ways with all threads, then the best with other numbers.
    """
    tried = race.examples(example, subject.rules.fixed_size)
    choices = ways.of(subject, devices, lower=lower)
    if not choices:
        raise UsageError(f"Nothing that is installed runs {subject.path}.")
    entries, wanted = crew.enter(subject, choices, tried, devices)
    _measure(entries, how, bar)
    precision = lower or subject.precision
    origin = race.origin(entries, precision)
    usual = race.usual(entries)
    first = sorted(race.running(entries), key=lambda e: race.ratio(e, usual))[:FINALISTS]
    finalists = first if usual in first else [usual, *first]
    for entry in entries:
        if entry not in finalists:
            entry.backend = entry.run = None  # their memory is needed now
    rounds, counts = [_rows(entries)], _counts(devices)
    if counts:
        entries = [race.Entry(e.way, e.run, e.backend, "", e.verdict) for e in finalists]
        with contextlib.ExitStack() as stack:
            for count in counts:
                entries += _others(stack, subject, [e.way for e in first], count, tried, wanted)
            _measure(entries, how, bar)
        rounds.append(_rows(entries))
    entry, least = race.best(entries)
    about = memory.facts(subject.identity, auto.shape(subject, example), devices, precision)
    choice = {"way": ways.as_json(entry.way), "ratio": least, "thorough": True, **origin}
    kept = memory.remember(about, choice)
    return {
        "input": about["input"],
        "versions": about["versions"],
        "rounds": rounds,
        "choice": {**choice, "kept": str(memory.table()) if kept else None},
    }


def _counts(devices):
    """The numbers of threads that are tried beside all: a half, and one."""
    one_cpu = len(devices or ["cpu"]) == 1 and runtime.contexts(devices)[0].device_type == "cpu"
    limit = runtime.thread_limit()
    return sorted({-(-limit // 2), 1} - {limit}, reverse=True) if one_cpu else []


def _others(stack, subject, choices, count, tried, wanted):
    """The entries of another number of threads; none, and a sentence, where that fails."""
    onnx = None
    if any(way.runtime != "mxnet" for way in choices) and subject.in_mxnet:
        onnx = subject.onnx
    others = stack.enter_context(crew.Crew(subject, onnx, choices, count, tried, wanted))
    try:
        return others.entries()
    except MXNetSegError as error:
        memory.say(str(error))
        return []


def _measure(entries, how, bar):
    alive = race.running(entries)
    seconds = speed.take_turns({k: e.run for k, e in enumerate(alive)}, how, bar)
    for k, entry in enumerate(alive):
        entry.seconds = seconds[k]


def _rows(entries):
    """A round as JSON."""
    usual, rows = race.usual(entries), []
    for entry in entries:
        verdict = entry.verdict
        finite = verdict is not None and np.isfinite(verdict.largest)
        row = {
            **ways.as_json(entry.way),
            "name": str(entry.way),
            "difference": verdict.largest if finite else None,
            "rms": verdict.rms if finite else None,
            "agreement": verdict.agreement if finite else None,
            "why_not": entry.why or None,
            "passes": speed.summary(entry.seconds, 1) if entry.seconds else None,
            "ratio": race.ratio(entry, usual) if entry.seconds else None,
        }
        rows.append(row)
    return rows


def as_text(machine, title, result):
    """What :func:`tune` found, as a table."""
    versions = [f"{k} {v}" for k, v in result["versions"].items() if v and k != "mxnetseg"]
    lines = [
        f"{machine['processor']}, up to {counted(machine['threads'], 'thread')}; "
        f"{', '.join(versions)}",
        f"{title}, {'x'.join(map(str, result['input']))}, pixels to logits, in turns",
        "",
    ]
    for number, rows in enumerate(result["rounds"]):
        table = [("way", "threads", "difference", "same class", "median", "p95", "ratio")]
        for row in rows:
            if row["passes"]:
                times = [f"{1000 * row['passes'][key]:.1f} ms" for key in ("median", "p95")]
                cells = (
                    f"{row['rms']:.0e}",
                    f"{row['agreement']:.2%}",
                    *times,
                    f"{row['ratio']:.3f}",
                )
                table.append((row["name"], str(row["threads"]), *cells))
        lines += ["", "the best, with other numbers of threads:"] if number else []
        lines += aligned(table, right=6)
        lines += [f"{row['name']}: {row['why_not']}" for row in rows if row["why_not"]]
    choice, first = result["choice"], result["rounds"][0][0]["name"]
    way, count = ways.Way(**choice["way"]), choice["way"]["threads"]
    lines += [
        "",
        f"difference: from the logits of {first}, root of the mean square, of their deviation.",
        "same class: of the pixels where the two best classes differ clearly.",
        f"ratio: of the times to those of {choice['usual']}, median over the turns.",
        f"chosen: {way}, {counted(count, 'thread')}"
        + ("" if choice["ratio"] < 1 else f"; nothing is faster than {race.GAIN:g} of it"),
    ]
    if choice["kept"]:
        lines.append(f"kept in {choice['kept']} for --runtime auto")
    return "\n".join(lines)
