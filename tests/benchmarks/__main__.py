"""Print the table of speeds: ours against the usual way, both measured in this run.

    python -m tests.benchmarks [row ...]

Rows have their functions' names (``forward``), or the names' beginnings (``evaluation``).
Where PyTorch is installed its forward pass and training step of the same network stand beside ours.
"""

import sys
import tempfile
from pathlib import Path

from . import evaluation, host, network, pipeline


def main(names):
    with tempfile.TemporaryDirectory() as folder:
        rows = [f for module in (host, pipeline, network, evaluation) for f in module.ROWS]
        known = [f.__name__ for f in rows]
        for name in names:
            if not any(row.startswith(name) for row in known):
                sys.exit(f"There is no row '{name}', only {', '.join(known)}.")
        if names:
            rows = [f for f in rows if f.__name__.startswith(tuple(names))]
        print(f"{'what':58s} {'usual':>9s} {'ours':>9s} {'ratio':>6s}  aim")
        for function in rows:
            row = function(Path(folder))
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
