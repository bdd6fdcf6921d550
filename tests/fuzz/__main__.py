"""``python -m tests.fuzz KIND FIRST LAST FOLDER``: run cases, and say of each how it ended.

A line for each case: its number, and ``read``, ``refused`` or ``FINDING`` with the reason. A case
that takes longer than a minute ends the process with a traceback, also out of native code.
"""

import faulthandler
import os
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

from mxnetseg.errors import MXNetSegError

from . import cases

KINDS = ("images", "masks", "configurations", "checkpoints")


def main(kind, first, last, folder):
    folder = Path(folder)
    (folder / "empty").mkdir(parents=True, exist_ok=True)
    canary = folder / "canary"
    seconds = 1 if kind == "self-test-hang" else 60
    case = create(kind, folder, canary)
    out = os.fdopen(os.dup(1), "w")  # decoders grumble on the usual ones
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    warnings.simplefilter("ignore")
    for number in range(int(first), int(last)):
        print(number, end=" ", file=out, flush=True)
        faulthandler.dump_traceback_later(seconds, exit=True, file=out)
        outcome = outcome_of(case, [KINDS.index(kind) if kind in KINDS else 99, number])
        faulthandler.cancel_dump_traceback_later()
        if canary.exists():
            canary.unlink()
            outcome = "FINDING something was executed"
        print(outcome, file=out, flush=True)


def create(kind, folder, canary):
    """The cases of a kind: a function of a generator."""
    if kind in ("images", "masks"):
        return cases.Files(folder / "own", kind)
    if kind.startswith("self-test-"):
        return cases.SelfTest(kind[len("self-test-") :], canary)
    if kind == "configurations":
        return cases.Configurations(folder, str(canary))
    from . import checkpoints  # the only one that needs MXNet

    return checkpoints.Checkpoints(folder, str(canary))


def outcome_of(case, seed):
    try:
        case(np.random.default_rng(seed))
    except MXNetSegError as error:
        text = str(error).strip()
        return f"refused {text}".split("\n")[0] if text else "FINDING an error without a sentence"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"FINDING {type(error).__name__}: {error} ({where})".replace("\n", " ")
    return "read"


if __name__ == "__main__":
    main(*sys.argv[1:])
