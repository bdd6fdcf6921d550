"""The folder of a run: one run writes to it at a time."""

import contextlib
import os
import socket

from ..errors import MXNetSegError
from ..files import cannot_write

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

UNFINISHED = (".*.params.*.part", ".log.jsonl.*.part", ".config.yaml.*.part")


@contextlib.contextmanager
def held(out):
    """Make the folder, keep other runs out, and remove what a killed run left half written.

    The system's lock ends with the process, however it ends. Where there is none, as on some
    network file systems, the process in the file counts while it lives.

    Raises:
        MXNetSegError: another run is writing to the folder, or it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = open(str(out / ".lock"), "ab+", buffering=0)  # noqa: SIM115
    except OSError as error:
        raise cannot_write(out, error) from None
    with file:
        file.seek(0)
        owner = file.read().decode("utf-8", "replace").strip()
        if not _lock(file, owner):
            process = owner.split()[0] if owner else "unknown"
            raise MXNetSegError(
                f"Another run (process {process}) is writing to {out}. Choose another --out, or "
                "end that one."
            )
        with contextlib.suppress(OSError):  # of a full disk, which others report
            file.truncate(0)
            file.write(_this_process().encode())
        for pattern in UNFINISHED:
            for path in out.glob(pattern):
                with contextlib.suppress(OSError):
                    path.unlink()
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)


def _lock(file, owner):
    """Whether the folder is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except (OSError, AttributeError):  # no locks here
        return owner == _this_process() or not _lives(owner)


def _this_process():
    return f"{os.getpid()} {socket.gethostname()}"


def _lives(owner):
    """Whether the process ``<number> <host>`` runs, as far as this host knows."""
    number, _, host = owner.partition(" ")
    if not number.isdigit() or host != socket.gethostname() or os.name == "nt":
        return False  # on Windows, to ask is to kill
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
