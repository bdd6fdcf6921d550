"""Where runs lie, and which checkpoint is meant."""

import time
from pathlib import Path

from .. import shipped
from ..errors import UsageError

PACKAGE = Path(__file__).resolve().parent.parent


def home():
    """Where weights/ and runs/ lie: here, or beside the package when called from inside it."""
    here = Path.cwd()
    return PACKAGE.parent if here == PACKAGE else Path()


def out(args, verb):
    """--out, or a new folder in runs/."""
    return Path(args.out) if args.out else home() / "runs" / verb / stamp()


def stamp():
    return time.strftime("%Y%m%d-%H%M%S")


def newest(name, folder=None, otherwise=None):
    """The newest file of a name below a folder, by default weights/; ``otherwise`` without one."""
    root = Path(folder) if folder else home() / "weights"
    found = sorted(root.glob(f"**/{name}"), key=lambda p: p.stat().st_mtime)
    if not found and otherwise is None:
        raise UsageError(f"There is no {name} below {root}. Train first, or name a checkpoint.")
    return str(found[-1]) if found else otherwise


def named(args):
    """The path that --checkpoint names, or the newest best.params, or the shipped network."""
    if args.checkpoint:
        return args.checkpoint
    default = shipped.find(shipped.DEFAULT)
    path = newest("best.params", otherwise=default)
    print(f"checkpoint {path}" + " (shipped; none was trained here)" * (path == default))
    return path


def check(args, saved):
    """UsageError if a checkpoint does not hold the --model and --backbone that were given."""
    from .. import models

    for flag, key in (("model", "name"), ("backbone", "backbone")):
        asked, has = getattr(args, flag), saved.meta["network"].get(key)
        if not asked or not has:
            continue
        if key == "name":
            fits = models.is_called(saved.meta["network"], asked)
        else:
            fits = asked.lower() == has.lower()
        if not fits:
            raise UsageError(
                f"{saved.path} holds {key} '{has}', not '{asked}'. Drop --{flag}, or give the "
                "right checkpoint."
            )


def names(contexts):
    return ", ".join(str(c) for c in contexts)
