"""Ways with other numbers of threads, each number in a process of its own.

The OpenMP of MXNet reads its number of threads once, and oneDNN plans for it. So a process is
started for each number; ways there take turns with those here: a line to the process asks for a
pass, a line back says that it is done.

Ways that may end the process (``ways.risky``) prove themselves in such a process first.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ..columns import counted
from ..errors import MXNetSegError
from ..runtime import thread_limit
from . import memory, proof, race, ways
from .race import Entry, Example


class Crew:
    """A process that runs ways with a number of threads; use it in a ``with`` block.

    Args:
        subject: Subject. onnx: its exported file, or None. choices: list of Way.
        threads: how many. tried, wanted: see ``race.enter``.
    """

    def __init__(self, subject, onnx, choices, threads, tried, wanted):
        self.threads = threads
        self._folder = tempfile.TemporaryDirectory()
        arrays = Path(self._folder.name) / "examples.npz"
        held = {f"images{k}": e.images for k, e in enumerate(tried)}
        held.update({f"wanted{k}": w.logits for k, w in enumerate(wanted)})
        np.savez(str(arrays), **held)
        job = {
            "path": str(subject.path), "onnx": str(onnx) if onnx else None,
            "identity": subject.identity, "arrays": str(arrays),
            "padded": [e.padded for e in tried], "noise": [w.noise for w in wanted],
            "ways": [way._asdict() for way in choices],
        }  # fmt: skip
        (Path(self._folder.name) / "job.json").write_text(json.dumps(job))
        paths = [str(memory.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
        self._said = arrays.with_name("said.txt")  # a pipe that nobody reads would fill up
        with open(self._said, "wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mxnetseg.tuning.crew", str(arrays.with_name("job.json"))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True,
                env={
                    **os.environ, "OMP_NUM_THREADS": str(threads),
                    "PYTHONPATH": os.pathsep.join(p for p in paths if p),
                },
            )  # fmt: skip
        self._choices = choices

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def entries(self):
        """A list of Entry; waits until all are ready."""
        found = []
        for k, (way, said) in enumerate(zip(self._choices, json.loads(self._line()))):
            entry = Entry(way._replace(threads=self.threads), why=said["why"])
            if said["verdict"]:
                entry.verdict = proof.Verdict(*said["verdict"])
            entry.run = lambda k=k: self._pass(k)
            found.append(entry)
        return found

    def _pass(self, number):
        with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no line
            self._process.stdin.write(f"{number}\n")
            self._process.stdin.flush()
        self._line()

    def _line(self):
        line = self._process.stdout.readline()
        if not line:
            self._process.kill()
            self._process.communicate()
            said = self._said.read_text(errors="replace").strip().splitlines()
            raise MXNetSegError(
                f"The process with {counted(self.threads, 'thread')} ended: "
                f"{said[-1] if said else 'killed, perhaps for want of memory'}"
            )
        return line


def enter(subject, choices, tried, devices):
    """As ``race.enter``; ways that may end the process first prove themselves in another."""
    risky = [way for way in choices if ways.risky(way, subject)]
    safe = [way for way in choices if way not in risky]
    entries, wanted = race.enter(subject, safe, tried, devices)
    for way in risky:
        try:
            with Crew(subject, None, [way], thread_limit(), tried, wanted) as crew:
                entry = crew.entries()[0]
        except MXNetSegError as error:
            entry = Entry(way, why=str(error))
        entry.way = way
        if not entry.why:
            entry = race.enter(subject, [way], tried, devices, wanted)[0][0]
        entries.append(entry)
    return entries, wanted


def _work(path):
    """What the process does: prove the ways, then run them as it is told."""
    from .subject import of_path

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = json.loads(Path(path).read_text())
    with np.load(job["arrays"]) as arrays:
        tried = [
            Example(arrays[f"images{k}"], padded and tuple(padded))
            for k, padded in enumerate(job["padded"])
        ]
        wanted = [proof.Wanted(arrays[f"wanted{k}"], n) for k, n in enumerate(job["noise"])]
    subject = of_path(job["path"], job["onnx"], job["identity"])
    choices = [ways.Way(**way) for way in job["ways"]]
    entries, _ = race.enter(subject, choices, tried, ["cpu"], wanted)
    said = [{"why": e.why, "verdict": e.verdict and list(e.verdict)} for e in entries]
    print(json.dumps(said), file=answers, flush=True)
    for line in sys.stdin:
        entries[int(line)].run()
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    _work(sys.argv[1])
