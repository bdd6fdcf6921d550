"""Measuring."""

import dataclasses
import json
import os
import subprocess
import sys
import time


def best(function, repeat=5, warmup=1):
    """Seconds of the fastest of ``repeat`` calls."""
    for _ in range(warmup):
        function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def elsewhere(task, **environment):
    """Seconds that ``python -m tests.benchmarks.network <task>`` reports, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.network", task],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


@dataclasses.dataclass
class Row:
    """A line of the table. ``usual`` is None where the usual way cannot be measured here."""

    what: str
    usual: float
    ours: float
    aim: str
    note: str = ""

    def __str__(self):
        usual = f"{1000 * self.usual:7.1f}ms" if self.usual else "        -"
        ratio = f"{self.ours / self.usual:6.2f}" if self.usual else "     -"
        return f"{self.what:58s} {usual} {1000 * self.ours:7.1f}ms {ratio}  {self.aim} {self.note}"
