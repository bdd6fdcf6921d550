"""A thousand damaged files of each kind; see ``tests/fuzz`` for what is done to them.

No crash, no hang, no bare Python error, nothing executed, nothing silently different. Cases run in
processes of their own, so that one which ends its process does not end the test. A finding names
its number: ``python -m tests.fuzz KIND NUMBER NUMBER+1 FOLDER`` repeats it.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = int(os.environ.get("MXNETSEG_FUZZ_CASES", 1000))
FIRST = int(os.environ.get("MXNETSEG_FUZZ_FIRST", 0))
KINDS = ("images", "masks", "configurations", "checkpoints")


def run(kind, first, last, folder):
    """{number: outcome} of cases, those that ended their process included."""
    outcomes = {}
    while first < last:
        command = [sys.executable, "-m", "tests.fuzz", kind, str(first), str(last), str(folder)]
        done = subprocess.run(
            command,
            cwd=Path(__file__).resolve().parents[1],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            errors="replace",
        )
        for line in done.stdout.splitlines():
            number, _, outcome = line.partition(" ")
            if number.isdigit():
                outcomes[int(number)] = outcome
        reached = max(outcomes, default=first)
        if done.returncode == 0 and reached == last - 1:
            break
        outcomes[reached] = f"FINDING the process ended: {done.stdout[-300:]} {done.stderr[-500:]}"
        first = reached + 1
    return outcomes


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged(kind, tmp_path):
    outcomes = run(kind, FIRST, FIRST + CASES, tmp_path)
    assert len(outcomes) == CASES
    findings = {n: text for n, text in outcomes.items() if text.startswith("FINDING")}
    assert not findings, "\n".join(f"{n}: {text[:300]}" for n, text in findings.items())
    # Not all is refused before it is looked at, and damage is noticed.
    assert sum(text == "read" for text in outcomes.values()) > CASES / 50
    assert sum(text.startswith("refused") for text in outcomes.values()) > CASES / 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_few(kind, tmp_path):
    outcomes = run(kind, 0, 10, tmp_path)
    assert len(outcomes) == 10 and not [t for t in outcomes.values() if t.startswith("FINDING")]


@pytest.mark.parametrize(
    "what, told",
    [
        ("crash", "the process ended"),
        ("hang", "the process ended"),
        ("error", "ZeroDivisionError"),
        ("execute", "something was executed"),
    ],
)
def test_findings_are_found(tmp_path, what, told):
    """The test itself is tested: a case that does what none may do."""
    outcomes = run(f"self-test-{what}", 0, 3, tmp_path)
    assert len(outcomes) == 3 and outcomes[0] == outcomes[2] == "read"
    assert outcomes[1].startswith("FINDING") and told in outcomes[1]
