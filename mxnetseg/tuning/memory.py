"""What is kept in the cache folder: choices, and networks exported for other runtimes.

A choice holds for one network, one size, one machine and one set of versions: its key is a hash of
them all, so that nothing has to be thrown away when one changes; it is just not found again.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from functools import lru_cache
from pathlib import Path

from .. import files, packages
from ..errors import MXNetSegError
from ..runtime import thread_limit
from ..speed import processor
from ..version import __version__

FORMAT = 1
CHOICES = 200  # that are kept, the newest
EXPORTS = 8
PACKAGE = Path(__file__).resolve().parent.parent


def folder():
    """Where the cache lies: $XDG_CACHE_HOME/mxnetseg, by default ~/.cache/mxnetseg."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "mxnetseg"


def table():
    """The file of choices."""
    return folder() / "tuned.json"


# --- what a choice holds for ---------------------------------------------------------------------


def facts(identity, shape, devices, precision="float32"):
    """All that a choice depends on, as JSON.

    Args:
        identity: of the network: the SHA-256 of its file, or its name and options.
        shape: (N, rows, columns) that the network sees. devices: as --ctx has them, or None.
        precision: the lowest that takes part.
    """
    return {
        "network": identity,
        "input": list(shape),
        "precision": precision,
        "devices": [str(d) for d in devices] if devices else None,
        "processor": processor(),
        "threads": thread_limit(),
        "versions": versions(),
    }


def versions():
    """{package: version}; None of what is not installed. Ours with a hash of the source."""
    found = {name: packages.version(name) for name in ("mxnet", "onnxruntime", "openvino")}
    return {"mxnetseg": f"{__version__}+{_source()}", **found}


@lru_cache(maxsize=1)
def _source():
    """A hash of this package's files: a version from the repository changes between releases."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def key(about):
    """The key of :func:`facts`."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]


# --- choices -------------------------------------------------------------------------------------


def recall(about):
    """What was chosen for :func:`facts`, as JSON, or None."""
    entry = _choices().get(key(about))
    return entry["choice"] if entry and entry["about"] == about else None


def remember(about, choice):
    """Keep a choice; a folder that cannot be written costs a sentence."""
    kept = _choices(quiet=True)
    entry = {"about": about, "choice": choice, "when": time.strftime("%Y-%m-%d %H:%M:%S")}
    kept[key(about)] = entry
    newest = sorted(kept.items(), key=lambda item: item[1]["when"])[-CHOICES:]
    try:
        files.write(table(), json.dumps({"format": FORMAT, "choices": dict(newest)}, indent=1))
    except MXNetSegError as error:
        say(f"The choice is not kept: {error}")
        return False
    return True


def _choices(quiet=False):
    """{key: entry} of the file; {} where it is none of ours, which is said."""
    try:
        content = json.loads(table().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError):
        content = None
    good = (
        isinstance(content, dict)
        and content.get("format") == FORMAT
        and isinstance(content.get("choices"), dict)
        and all(_is_entry(entry) for entry in content["choices"].values())
    )
    if not good and not quiet:
        say(f"{table()} is damaged or of another version: it is ignored and will be replaced.")
    return content["choices"] if good else {}


def _is_entry(entry):
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("about"), dict)
        and isinstance(entry.get("choice"), dict)
        and isinstance(entry.get("when"), str)
    )


def say(text):
    """A sentence that is no result."""
    print(f"mxnetseg: {text}", file=sys.stderr)


# --- exported networks ---------------------------------------------------------------------------


def exported(identity):
    """Where a network lies in ONNX, or will."""
    return folder() / "networks" / f"{identity[:16]}-{_source()}.onnx"


def keep(path):
    """Mark an exported network as just used, and remove all but the newest."""
    with contextlib.suppress(OSError):
        os.utime(str(path))
        kept = sorted(path.parent.glob("*.onnx"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in kept[EXPORTS:]:
            old.unlink()
