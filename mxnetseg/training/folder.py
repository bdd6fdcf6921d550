"""The folder of a run: one run writes to it at a time."""

import contextlib
import os

from ..errors import UsageError
from ..files import cannot_write

try:
    import fcntl
except ImportError:  # Windows has none, and no other lock that ends with its process
    fcntl = None


@contextlib.contextmanager
def held(out):
    """Make the folder and keep other runs out; the lock ends with the process, however it ends.

    Raises:
        UsageError: another run is writing to it. MXNetSegError: it cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = open(str(out / ".lock"), "a+")  # noqa: SIM115
    except OSError as error:
        raise cannot_write(out, error) from None
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                owner = file.read().strip() or "unknown"
                raise UsageError(
                    f"Another run (process {owner}) is writing to {out}. Choose another --out, or "
                    "end that one."
                ) from None
            except OSError:
                pass  # a network file system without locks
        with contextlib.suppress(OSError):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield
