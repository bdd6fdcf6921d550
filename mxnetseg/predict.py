"""``mxnetseg predict`` as a script: ``python predict.py ...``, from any folder."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # not this folder, whose files would hide other packages of the same names
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

    from mxnetseg.cli import main

    sys.exit(main(["predict", *sys.argv[1:]]))
