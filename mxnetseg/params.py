"""MXNet's parameter files, looked through before MXNet reads them.

MXNet trusts what it reads: in a damaged file it may follow a length out of the file, ask for all
memory there is, or end the process. :func:`load` walks from length to length first.

A seal at the end of a file, which MXNet does not read, tells later whether one bit has changed:
names, shapes and types of number included.
"""

import math
import os
import struct
import zlib

import mxnet as mx

from .errors import MXNetSegError

MAGIC = struct.pack("<Q", 0x112)
"""How a file begins."""

_SEAL = b"mxnetseg"
_V1, _V2 = 0xF993FAC8, 0xF993FAC9  # of an array; before them stood the number of its dimensions
_BYTES = {0: 4, 1: 8, 2: 2, 3: 1, 4: 4, 5: 1, 6: 8, 7: 1}  # type of number -> size
_DEVICES = (1, 2, 3, 5)  # CPU, GPU, pinned, shared
_MAX_DIMENSIONS = 32


def load(path):
    """The arrays of a file: a mapping by name, or a list where they have no names.

    Raises:
        MXNetSegError: the file is truncated, damaged, or no parameter file; its seal is broken.
        OSError: it cannot be opened.
    """
    path = str(path)
    found = _seal_of(path)
    if found and _checksum(path, found[0]) != found[1]:
        raise MXNetSegError(f"{path} is damaged: its checksum does not fit its content.")
    try:
        with open(path, "rb") as file:
            _Walk(file).whole()
        return mx.nd.load(path)
    except (_Damaged, mx.MXNetError, ValueError, UnicodeDecodeError):
        raise MXNetSegError(
            f"{path} cannot be read: it is truncated, or no MXNet parameter file."
        ) from None


class _Damaged(Exception):
    pass


class _Walk:
    """Goes through a file without reading its numbers."""

    def __init__(self, file):
        self.file, self.size = file, os.fstat(file.fileno()).st_size

    def take(self, layout):
        data = self.file.read(struct.calcsize(layout))
        if len(data) < struct.calcsize(layout):
            raise _Damaged
        return struct.unpack(layout, data)

    def skip(self, length):
        if length > self.size - self.file.tell():
            raise _Damaged
        self.file.seek(length, os.SEEK_CUR)

    def whole(self):
        magic, _, count = self.take("<8sQQ")
        if magic != MAGIC:
            raise _Damaged
        for _ in range(count):
            self.array()
        (names,) = self.take("<Q")
        if names not in (0, count):
            raise _Damaged
        for _ in range(names):
            self.skip(*self.take("<Q"))

    def array(self):
        (version,) = self.take("<I")
        if version == _V2:
            (storage,) = self.take("<i")
            if storage != 0:  # sparse
                raise _Damaged
        dimensions = self.take("<i")[0] if version in (_V1, _V2) else version
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise _Damaged
        shape = self.take(f"<{dimensions}{'q' if version in (_V1, _V2) else 'I'}")
        device, _, kind = self.take("<iii")
        if min(shape) < 1 or device not in _DEVICES or kind not in _BYTES:
            raise _Damaged
        self.skip(math.prod(shape) * _BYTES[kind])


def seal(path):
    """Add the seal to a complete file."""
    checksum = _checksum(path, os.path.getsize(path))
    with open(path, "ab") as file:
        file.write(_SEAL + struct.pack("<I", checksum))


def is_sealed(path):
    """Whether a file has a seal."""
    return _seal_of(path) is not None


def _seal_of(path):
    """(the file's length without the seal, the checksum in it), or None."""
    length = os.path.getsize(path) - len(_SEAL) - 4
    if length < 0:
        return None
    with open(path, "rb") as file:
        file.seek(length)
        end = file.read()
    return (length, *struct.unpack("<I", end[-4:])) if end.startswith(_SEAL) else None


def _checksum(path, length):
    total = 0
    with open(path, "rb") as file:
        while length > 0:
            block = file.read(min(length, 1 << 20))
            if not block:
                break
            total, length = zlib.crc32(block, total), length - len(block)
    return total
