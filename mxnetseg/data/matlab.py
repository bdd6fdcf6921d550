"""MATLAB's files of version 5 to 7.2: numbers, texts, cells and structures.

SciPy reads them too, but trusts what it reads: a damaged file may end the process. This reader
checks every length, and needs SciPy neither for training nor for `mxnetseg prepare`.
"""

import math
import struct
import types
import zlib

import numpy as np

# An element of a file is its type, its length and its content.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
            13: "u8"}  # fmt: skip
_TEXT = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED = 14, 15
# A matrix is of a class; those from 6 on are numbers.
_CELL, _STRUCT, _CHAR, _FIRST_NUMERIC, _LAST_NUMERIC, _OPAQUE = 1, 2, 4, 6, 15, 17
_COMPLEX = 0x800
_MAX_DEPTH = 20
_MAX_BYTES = 1 << 32  # of a variable that is stored compressed


class Damaged(ValueError):
    """The file is damaged, or no MATLAB file of these versions."""


class Struct(types.SimpleNamespace):
    """An entry of a matrix of structures; its fields are attributes."""


def read(content):
    """The variables of a file.

    Args:
        content: of the file, as bytes.

    Returns:
        A mapping, name -> value. Numbers are arrays of the type in which they are stored, a text is
        a ``str``, or an array of them; cells and structures are object arrays. Whatever else there
        is (complex numbers, sparse matrices, functions, objects) is None.

    Raises:
        Damaged: see there.
    """
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
    if order is None:
        raise Damaged("it has no header of version 5")
    data, place, variables = memoryview(content), 128, {}
    while place < len(data):
        kind, start, end, _ = _element(data, place, len(data), order)
        place = end  # variables stand side by side
        inside = data
        if kind == _COMPRESSED:
            inside = _decompressed(data[start:end])
            kind, start, end, _ = _element(inside, 0, len(inside), order)
        if kind != _MATRIX:
            raise Damaged("it holds something else than variables")
        name, value = _Matrix(inside, order).read(start, end, 0)
        variables[name] = value
    return variables


def _decompressed(content):
    tool = zlib.decompressobj()
    try:
        inside = tool.decompress(content, _MAX_BYTES)
    except zlib.error as error:
        raise Damaged(str(error)) from None
    if not tool.eof:
        raise Damaged("a variable is incomplete")
    return memoryview(inside)


def _element(data, place, limit, order):
    """(type, where its content starts and ends, where the next element of a matrix is)."""
    if place + 8 > limit:
        raise Damaged("it is truncated")
    kind, length = struct.unpack(order + "II", data[place : place + 8])
    start = place + 8
    if kind >> 16:  # a small one: both numbers in one, and four bytes
        kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
        if length > 4:
            raise Damaged("a small element is too large")
    end = start + length
    if end > limit:
        raise Damaged("it is truncated")
    return kind, start, end, min(place + -(-(end - place) // 8) * 8, limit)


class _Matrix:
    """Reads matrices, which may hold others."""

    def __init__(self, data, order):
        self.data, self.order = data, order

    def read(self, start, limit, depth):
        """(name, value) of the matrix there."""
        if start == limit:  # an empty place of a cell or structure
            return "", np.zeros((0, 0))
        if depth > _MAX_DEPTH:
            raise Damaged("it is nested too deeply")
        elements = self.elements(start, limit)
        flags = self.integers(next(elements))
        if len(flags) != 2:
            raise Damaged("a variable has no class")
        kind = flags[0] & 255
        if kind == _OPAQUE:
            return "", None
        sizes = self.integers(next(elements))
        if len(sizes) < 2 or min(sizes) < 0:
            raise Damaged("a variable has no size")
        name, count = self.text(next(elements)), math.prod(sizes)
        if flags[0] & _COMPLEX:
            return name, None
        if _FIRST_NUMERIC <= kind <= _LAST_NUMERIC:
            values = self.numbers(next(elements))
            if len(values) != count:
                raise Damaged(f"{name} has {len(values)} numbers instead of {count}")
            return name, values.reshape(sizes, order="F")
        if kind == _CHAR:
            return name, self.texts(next(elements), sizes)
        if kind not in (_CELL, _STRUCT):
            return name, None
        fields = self.fields(elements) if kind == _STRUCT else None
        needed = count * (1 if fields is None else len(fields))
        if max(count, needed) > limit - start:
            raise Damaged(f"{name} has an impossible size")
        inside = [self.inner(next(elements), depth) for _ in range(needed)]
        if fields is not None:
            width = len(fields)
            rows = [inside[k * width : (k + 1) * width] for k in range(count)]
            inside = [Struct(**dict(zip(fields, row))) for row in rows]
        values = np.empty(count, object)
        values[:] = inside
        return name, values.reshape(sizes, order="F")

    def elements(self, place, limit):
        while place < limit:
            kind, start, end, place = _element(self.data, place, limit, self.order)
            yield kind, start, end
        raise Damaged("a variable is incomplete")

    def numbers(self, element):
        kind, start, end = element
        if kind not in _NUMBERS:
            raise Damaged(f"it has type {kind} where numbers belong")
        dtype = np.dtype(self.order + _NUMBERS[kind])
        if (end - start) % dtype.itemsize:
            raise Damaged("it has parts of numbers")
        return np.frombuffer(self.data[start:end], dtype)

    def integers(self, element):
        values = self.numbers(element)
        if values.dtype.kind == "f":
            raise Damaged("it has fractions where whole numbers belong")
        return values.tolist()

    def text(self, element):
        kind, start, end = element
        if kind in _TEXT:
            suffix = "" if kind == 16 else "-le" if self.order == "<" else "-be"
            try:
                return bytes(self.data[start:end]).decode(_TEXT[kind] + suffix)
            except UnicodeDecodeError:
                raise Damaged("it has a text that is none") from None
        try:
            return "".join(map(chr, self.integers(element)))
        except (ValueError, OverflowError):
            raise Damaged("it has a text that is none") from None

    def texts(self, element, sizes):
        """A text, or an array of the rows of a matrix of letters."""
        text = self.text(element)
        if sizes[0] == 1 or not text:
            return text
        rows = sizes[0]
        if len(text) != math.prod(sizes):
            raise Damaged("a text has another length than it says")
        return np.array([text[row::rows] for row in range(rows)], object)

    def fields(self, elements):
        """The names of a structure's fields, each in so many bytes."""
        width, (kind, start, end) = self.integers(next(elements)), next(elements)
        if len(width) != 1 or width[0] < 1 or (end - start) % width[0]:
            raise Damaged("a structure has no fields")
        found = (self.text((kind, p, p + width[0])) for p in range(start, end, width[0]))
        return [name.split("\0")[0] for name in found]

    def inner(self, element, depth):
        kind, start, end = element
        if kind != _MATRIX:
            raise Damaged("it has something else where a matrix belongs")
        return self.read(start, end, depth + 1)[1]
