"""How fast networks are, measured in one stated way.

A *contestant* is a network with a way to run it, a backend (:mod:`~mxnetseg.inference.backend`).
Contestants take turns, pass by pass, so that what else the machine does hits all alike; ratios are
medians over the turns. Three things are measured:

* ``network``: images in memory (uint8) -> logits in memory, at the network's own resolution;
* ``classes``: the same, and their class maps at the size of the images;
* ``file``: image files -> class maps, one after another.

Every pass is waited for and timed by itself, after some that do not count.
"""

import os
import platform
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np

from . import files
from .columns import aligned, counted
from .data.images import read_image
from .data.synthetic import draw
from .errors import UsageError
from .inference.logits import argmax, logits_of, read
from .registry import unknown
from .runtime import cpuinfo, usable_cores

WHAT = {
    "network": "pixels to logits",
    "classes": "pixels to class map",
    "file": "image file to class map",
}
STAGES = tuple(WHAT)


@dataclass(frozen=True)
class Convention:
    """How a speed is measured.

    Attributes:
        size: (height, width) of the images; None: the caller's. batch: images in a pass.
        warmup: passes that do not count. repeats: those that do; None: as many as fill ``seconds``,
            ``least`` or more.
        fuse: whether norms are folded into convolutions. stages: what is measured.
        about: where it comes from and what it means.
    """

    about: str
    size: Optional[Tuple[int, int]] = None
    batch: int = 1
    warmup: int = 5
    repeats: Optional[int] = 20
    seconds: float = 6.0
    least: int = 1
    fuse: bool = True
    stages: Tuple[str, ...] = STAGES


CONVENTIONS = {
    "mxnetseg": Convention(
        "one image of 480x480 through the network as it is",
        size=(480, 480),
        fuse=False,
        stages=("network",),
    ),
    "pidnet": Convention(
        "PIDNet's and SANet's: 1x3x1024x2048, norms folded, no auxiliary outputs, logits at 1/8; "
        "about 6 seconds; their latency is the mean",
        size=(1024, 2048),
        warmup=10,
        repeats=None,
        stages=("network",),
    ),
    "mlmsnet": Convention(
        "MLMSNet's: 8x3x713x713, 50 passes that count; its time per iteration is the mean",
        size=(713, 713),
        batch=8,
        warmup=50,
        repeats=50,
        fuse=False,
        stages=("network",),
    ),
}
"""Those of the originals, by name."""


TUNING = Convention("", warmup=1, repeats=None, seconds=3.0, least=3)
"""That of ``--tune``; every contestant has had its first pass before."""


def convention(name):
    """One of :data:`CONVENTIONS`, or ours for None."""
    if name is None:
        return Convention("every pass is waited for and timed by itself")
    if name not in CONVENTIONS:
        raise unknown("protocol of speed", name, CONVENTIONS)
    return CONVENTIONS[name]


class Contestant(NamedTuple):
    """A network with a way to run it.

    Attributes:
        network: what to call it. runtime: "mxnet" ... fused: whether layers are joined; None: not
            known.
        backend: see :mod:`~mxnetseg.inference.backend`. channels: of the images.
    """

    network: str
    runtime: str
    fused: Optional[bool]
    backend: Any
    channels: int = 3


def check(how):
    """UsageError for a Convention that cannot be."""
    for stage in how.stages:
        if stage not in STAGES:
            raise unknown("stage", stage, STAGES)
    if how.batch < 1 or how.warmup < 0 or (how.repeats is not None and how.repeats < 1):
        raise UsageError("Images and passes are counted from 1; passes to warm up from 0.")


def measure(contestants, how, size, image=None, bar=None):
    """Let contestants take turns.

    Args:
        contestants: list of Contestant.
        how: Convention.
        size: (height, width) of the images; with ``image``: its own is taken.
        image: an image file; by default a drawn street scene as PNG.
        bar: a progress bar.

    Returns:
        A list of dicts, as JSON, for each contestant: ``network``, ``runtime``, ``fused``,
        ``precision``, ``size``, ``padded`` (what the network saw), ``batch``, and ``stages``: of
        each ``passes``; ``median``, ``p95``, ``mean``, ``min``, the seconds of a pass;
        ``images_per_second`` by the median; ``ratio`` of its passes to those of the first
        contestant in the same turns, the median.

    Raises:
        UsageError: a network does not take such images, or files of so many channels.
    """
    check(how)
    with tempfile.TemporaryDirectory() as folder:
        tasks = [_tasks(c, how, size, image, Path(folder)) for c in contestants]
        keys = [(k, stage) for k in range(len(tasks)) for stage in how.stages]
        seconds = take_turns({(k, s): tasks[k][s] for k, s in keys}, how, bar)
    found = []
    for k, contestant in enumerate(contestants):
        shape = tasks[k]["size"]
        row = {
            "network": contestant.network,
            "runtime": contestant.runtime,
            "fused": contestant.fused,
            "precision": contestant.backend.runtime["precision"],
            "size": list(shape),
            "padded": list(contestant.backend.padded_size(*shape)),
            "batch": how.batch,
            "stages": {},
        }
        for stage in how.stages:
            ratio = np.median(np.divide(seconds[k, stage], seconds[0, stage]))
            row["stages"][stage] = {**summary(seconds[k, stage], how.batch), "ratio": float(ratio)}
        found.append(row)
    return found


def summary(seconds, images):
    """What the seconds of passes over so many images each come to."""
    median = float(np.median(seconds))
    return {
        "passes": len(seconds),
        "median": median,
        "p95": float(np.percentile(seconds, 95)),
        "mean": float(np.mean(seconds)),
        "min": float(np.min(seconds)),
        "images_per_second": images / median,
    }


def _tasks(contestant, how, size, image, folder):
    """{stage: a function that does one pass}, and "size" of the images."""
    backend, channels = contestant.backend, contestant.channels
    if channels == 3:
        path = image or _scene(folder, size)
        pixels = read_image(path)
    elif image is not None or "file" in how.stages:
        raise UsageError(
            f"{contestant.network} takes images of {channels} channels, for which there is no "
            "file: measure --stages network classes."
        )
    else:
        pixels = scene(size, channels)
    size = pixels.shape[:2]
    batch = np.stack([pixels] * how.batch)

    def network(images=batch):
        return read(backend(images))

    def classes(images=batch):
        padded = backend.padded_size(*size)
        return [argmax(logits_of(v, padded, size, backend.align_corners)) for v in network(images)]

    def file():
        return classes(np.stack([read_image(path) for _ in range(how.batch)]))

    return {"network": network, "classes": classes, "file": file, "size": size}


def scene(size, channels=3):
    """A drawn street scene (height, width, 3), or noise of other channels."""
    if channels == 3:
        height, width = size
        return draw(np.random.default_rng(0), max(2, height), width)[0][:height]
    return np.random.RandomState(0).randint(0, 256, (*size, channels)).astype(np.float32)


def _scene(folder, size):
    """A drawn street scene as a file."""
    path = folder / f"{size[0]}x{size[1]}.png"
    if not path.exists():
        files.write(path, files.png(scene(size)))
    return path


def take_turns(tasks, how, bar):
    """{key: seconds of its passes}, as many for all."""
    for number in range(how.warmup):
        turn(tasks, number, bar)
    repeats = how.repeats
    if repeats is None:
        once = turn(tasks, 0, bar)
        repeats = max(how.least, int(how.seconds * len(tasks) / sum(once.values())))
    turns = [turn(tasks, number, bar) for number in range(repeats)]
    return {key: [turn[key] for turn in turns] for key in tasks}


PAUSE = 0.02
"""Seconds before each of several: threads of the runtime before go on spinning for a while."""


def turn(tasks, number, bar=None):
    """{key: seconds}; every second turn goes the other way round."""
    seconds = {}
    for key in list(tasks)[:: -1 if number % 2 else 1]:
        if len(tasks) > 1:
            time.sleep(PAUSE)
        start = time.perf_counter()
        tasks[key]()
        seconds[key] = time.perf_counter() - start
        if bar is not None:
            bar.update()
    return seconds


# --- what it was measured on, and text ----------------------------------------------------------


def processor():
    """Its model."""
    return cpuinfo("model name") or platform.processor() or platform.machine()


def machine():
    """What speeds depend on, as JSON."""
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "system": platform.system(),
        "python": platform.python_version(),
        "mxnet": mx.__version__,
    }


def as_text(result):
    """A table of what :func:`measure` found, below what it was measured on.

    Args:
        result: {"machine": ..., "about": ..., "results": ...}.
    """
    on, rows = result["machine"], result["results"]
    lines = [
        f"{on['processor']}, {counted(on['threads'], 'thread')}, MXNet {on['mxnet']}",
        result["about"],
        "",
    ]
    table = [
        ("network", "runtime", "input", "measured", "median", "p95", "mean", "images/s", "ratio")
    ]
    for row in rows:
        shape = f"{row['batch']}x{row['size'][0]}x{row['size'][1]}"
        runtime = row["runtime"] + (" fused" if row["fused"] else "")
        runtime += f" {row['precision']}" * (row["precision"] != "float32")
        for stage, part in row["stages"].items():
            times = [f"{1000 * part[key]:.1f} ms" for key in ("median", "p95", "mean")]
            numbers = (f"{part['images_per_second']:.2f}", f"{part['ratio']:.3f}")
            table.append((row["network"], runtime, shape, stage, *times, *numbers))
    lines += aligned(table, right=5)
    padded = {tuple(r["padded"]) for r in rows if r["padded"] != r["size"]}
    lines += [f"padded to {h}x{w} for the network" for h, w in sorted(padded)]
    measured = rows[0]["stages"]
    passes = next(iter(measured.values()))["passes"]
    what = "; ".join(f"{stage}: {WHAT[stage]}" for stage in measured)
    lines += ["", f"{passes} pass{'es' * (passes > 1)} of each in turn. {what}."]
    if len(rows) > 1:
        lines += ["ratio: of the times to the first one's, median over the turns."]
    return "\n".join(lines)
