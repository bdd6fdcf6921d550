"""Files that appear only when they are complete."""

import contextlib
import os
import threading


@contextlib.contextmanager
def replacing(path):
    """A path beside ``path`` to write to, renamed to it at the end; removed if that is not reached.

    Folders are made. Several threads and processes may write the same file at the same time.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    folder, name = os.path.split(str(path))
    if folder:
        os.makedirs(folder, exist_ok=True)
    aside = os.path.join(folder, f".{name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        yield aside
        os.replace(aside, str(path))
    finally:
        with contextlib.suppress(OSError):
            os.unlink(aside)


def write(path, content):
    """Write bytes or text."""
    with replacing(path) as aside, open(aside, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
