"""The bytes of a file: there, whole, and of which format."""

import struct
import zlib

import numpy as np

from ..errors import MXNetSegError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The usual endings of images and masks."""


class DataError(MXNetSegError):
    """Something is wrong with a file.

    Attributes:
        file: path, as text.
        kind: a short word for tables, for instance ``truncated``.
        problem: what is wrong, to follow the file's name.
        remedy: what to do about it.
    """

    def __init__(self, file, kind, problem, remedy):
        self.file, self.kind, self.problem, self.remedy = str(file), kind, problem, remedy
        super().__init__(f"{self.file} {problem}; {remedy}.")

    def __reduce__(self):  # so that it crosses the border between processes
        return type(self), (self.file, self.kind, self.problem, self.remedy)


REPLACE = "copy or download it again, or remove it"


def read_bytes(path):
    """The content of a file as uint8 array; DataError if it is missing, unreadable or empty."""
    try:
        content = np.fromfile(str(path), np.uint8)
    except FileNotFoundError:
        raise DataError(
            path, "missing", "does not exist", "restore it or remove its entry"
        ) from None
    except OSError as error:
        raise DataError(
            path, "unreadable", f"cannot be read ({error.strerror})", "check its permissions"
        ) from None
    if not len(content):
        raise DataError(path, "empty", "is an empty file", REPLACE)
    return content


def sniff(content):
    """The format of a file by its first bytes: png, jpeg, bmp, tiff, webp or None."""
    head = content[:12].tobytes()
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"BM"):
        return "bmp"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "tiff"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


def truncated(content):
    """Whether the end of an image file is missing.

    OpenCV may decode such a file all the same and leave the rest grey. The end markers tell at
    once; TIFF keeps its directory anywhere, there the decoder has to notice.
    """
    kind = sniff(content)
    if kind == "png":
        # A length that leaves the file would cost OpenCV gigabytes before it gives up.
        return [kind for kind, _, _ in _png_chunks(memoryview(content))][-1:] != [b"IEND"]
    if kind == "jpeg":
        if content[-2:].tobytes() == b"\xff\xd9":
            return False
        data = content.tobytes()
        return data.rfind(b"\xff\xd9") < _jpeg_scan(data)
    if kind == "bmp" and len(content) >= 6:
        return len(content) < struct.unpack("<I", content[2:6].tobytes())[0]
    if kind == "webp":
        return len(content) < struct.unpack("<I", content[4:8].tobytes())[0] + 8
    return False


def _jpeg_scan(data):
    """Where the pixels of a JPEG start; a thumbnail's end marker lies before."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        if data[place + 1] == 0xDA:
            return place
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    return len(data)


def _png_chunks(data):
    """The chunks of a PNG, (kind, where it starts, where its content ends), as far as they fit."""
    place = 8
    while place + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 8 + length
        if end + 4 > len(data):
            return
        yield kind, place, end
        if kind == b"IEND":
            return
        place = end + 4


def check_png(path, content):
    """DataError if a checksum within a PNG does not fit: Pillow reads pixels without a look at it.

    Those of chunks that are no part of the picture do not count.
    """
    data = memoryview(content)
    for kind, start, end in _png_chunks(data):
        needed = kind[:1].isupper()
        if needed and data[end : end + 4] != struct.pack(">I", zlib.crc32(data[start + 4 : end])):
            raise damaged(path, content)


def read_intact(path, allow_truncated=False):
    """The content of a file; DataError if it is missing, empty or truncated.

    Args:
        allow_truncated: a file that ends too early is good enough to be decoded in part.
    """
    content = read_bytes(path)
    if truncated(content):
        if not allow_truncated:
            raise DataError(path, "truncated", "is truncated", REPLACE)
        if sniff(content) == "jpeg":  # the end marker, without which OpenCV gives up
            content = np.concatenate([content, np.frombuffer(b"\xff\xd9", np.uint8)])
    return content


def damaged(path, content):
    """The :class:`DataError` of a file that no decoder takes."""
    if sniff(content) is None:
        return DataError(
            path, "unreadable", "is not an image (PNG, JPEG, BMP, TIFF, WebP)", REPLACE
        )
    return DataError(path, "unreadable", "is damaged and cannot be decoded", REPLACE)
