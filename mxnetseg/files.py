"""Output files that appear only when they are complete."""

import contextlib
import hashlib
import io
import itertools
import os
import shutil
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from .errors import MXNetSegError
from .palette import full_palette


def cannot_write(path, error, what=""):
    """The error for a file or folder that the system does not let us write."""
    return MXNetSegError(f"{what}{path} cannot be written: {error.strerror or error}.")


@contextlib.contextmanager
def replacing(path, what=""):
    """A path beside ``path`` to write to; renamed to it at the end, removed if that is not reached.

    Folders are made. Several threads and processes may write the same file at the same time.

    Args:
        what: of the file, for the error: "The checkpoint ".

    Raises:
        MXNetSegError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        os.replace(str(aside), str(path))
    except OSError as error:
        raise cannot_write(path, error, what) from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(str(aside))


def copy(source, target):
    """Copy a file; the target that was there stays whole until the new one is."""
    with replacing(target) as aside:
        shutil.copyfile(str(source), str(aside))
        with open(aside, "rb+") as file:
            os.fsync(file.fileno())


def check_folder(path):
    """Make a folder, and an error now rather than after the work if it cannot be written."""
    probe = Path(path) / f".writable.{os.getpid()}.{threading.get_ident()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except FileExistsError:
        raise MXNetSegError(f"{path} is a file; name a folder.") from None
    except OSError as error:
        raise cannot_write(path, error) from None


def write(path, content):
    """Write bytes or text."""
    with replacing(path) as aside:
        aside.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(str(path), "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def png(array):
    """uint8 (H, W) grey or (H, W, 3) RGB -> the bytes of a PNG."""
    pixels = np.ascontiguousarray(array)
    pixels = pixels if array.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", pixels)[1].tobytes()


def palette_png(classes, palette, void_color=(0, 0, 0)):
    """Class map -> the bytes of a palette PNG: indices are classes, viewers show the colours."""
    image = Image.fromarray(np.ascontiguousarray(classes))
    image.putpalette(full_palette(palette, void_color).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=4)
    return buffer.getvalue()


def write_png(path, strips, height, width, palette=None):
    """Write a PNG strip by strip, so that it is nowhere in memory as a whole.

    Args:
        strips: uint8 (rows, width) or (rows, width, 3) RGB, from top to bottom.
        palette: uint8 (n, 3), the colours of the values of strips (rows, width).
    """
    strips = iter(strips)
    first = next(strips)
    depth = 1 if first.ndim == 2 else 3
    kind = 2 if depth == 3 else 0 if palette is None else 3  # as PNG counts them
    packer = zlib.compressobj(1)
    with replacing(path) as aside, open(str(aside), "wb") as file:

        def chunk(name, content):
            sum32 = zlib.crc32(content, zlib.crc32(name))
            file.write(struct.pack(">I", len(content)) + name + content + struct.pack(">I", sum32))

        file.write(b"\x89PNG\r\n\x1a\n")
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
        if palette is not None:
            chunk(b"PLTE", np.asarray(palette, np.uint8).tobytes())
        for strip in itertools.chain([first], strips):
            rows = np.empty((len(strip), 1 + depth * width), np.uint8)
            rows[:, 0] = 1  # what follows are differences from the pixel to the left
            flat = np.ascontiguousarray(strip).reshape(len(strip), -1)
            rows[:, 1 : 1 + depth] = flat[:, :depth]
            np.subtract(flat[:, depth:], flat[:, :-depth], out=rows[:, 1 + depth :])
            packed = packer.compress(rows.tobytes())
            if packed:
                chunk(b"IDAT", packed)
        chunk(b"IDAT", packer.flush())
        chunk(b"IEND", b"")


class Archive:
    """A zip of PNGs, written one by one and renamed when the ``with`` block ends well."""

    def __init__(self, path):
        self.path, self.names = Path(path), set()

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        aside = self._stack.enter_context(replacing(self.path))
        try:
            self._zip = self._stack.enter_context(zipfile.ZipFile(str(aside), "w"))
        except OSError as error:
            raise cannot_write(self.path, error) from None
        return self

    def add(self, name, content):
        """Add a file; MXNetSegError if there is one of that name."""
        if name in self.names:
            raise MXNetSegError(
                f"Two images would be called {name} in {self.path.name}, which has no sub-folders. "
                "Give the images of this split different names."
            )
        self.names.add(name)
        self._zip.writestr(name, content)  # stored: PNG is compressed

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)
