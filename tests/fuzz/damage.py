"""Ways to damage the content of a file: pure functions of the generator and the content."""

import struct
import zlib

EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\1\0")


def one_of(rng, things):
    return things[int(rng.integers(len(things)))]


def flip(rng, content, others):
    """Some bits."""
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 12))):
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def flip_header(rng, content, others):
    """Some bits near the beginning."""
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        damaged[rng.integers(min(len(damaged), 128))] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def cut(rng, content, others):
    """The end is missing."""
    return content[: rng.integers(len(content))]


def cut_inside(rng, content, others):
    """A piece within is missing."""
    first, last = sorted(int(v) for v in rng.integers(0, len(content), 2))
    return content[:first] + content[last:]


def insert(rng, content, others):
    """Bytes that do not belong there."""
    place, length = int(rng.integers(len(content))), int(rng.integers(1, 400))
    return content[:place] + rng.bytes(length) + content[place:]


def repeat(rng, content, others):
    """A piece comes again."""
    first, last = sorted(int(v) for v in rng.integers(0, len(content), 2))
    return content[:last] + content[first:last] * int(rng.integers(1, 4)) + content[last:]


def blank(rng, content, others):
    """Zeros, as of a disk that lost a block."""
    first = int(rng.integers(len(content)))
    last = min(first + int(rng.integers(1, 600)), len(content))
    return content[:first] + bytes(last - first) + content[last:]


def extreme(rng, content, others):
    """A number of four bytes becomes the smallest or largest one."""
    place = int(rng.integers(max(len(content) - 4, 1)))
    return content[:place] + EXTREMES[rng.integers(len(EXTREMES))] + content[place + 4 :]


def swap_header(rng, content, others):
    """The beginning of another file."""
    other = others[rng.integers(len(others))]
    length = int(rng.integers(1, 64))
    return other[:length] + content[length:]


def splice(rng, content, others):
    """The first part of one file, the last part of another."""
    other = others[rng.integers(len(others))]
    return content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]


BYTES = (
    flip, flip_header, cut, cut_inside, insert, repeat, blank, extreme, swap_header, splice
)  # fmt: skip


def png_header(rng, content):
    """Another size, depth or kind in the header of a PNG, whose checksum fits."""
    fields = list(struct.unpack(">IIBBBBB", content[16:29]))
    which = int(rng.integers(7))
    values = (0, 1, 2, 3, 4, 6, 8, 16, 255, 40000) if which > 1 else (0, 1, 7, 40000, 2**31 - 1)
    value = int(values[rng.integers(len(values))])
    fields[which] = value if which < 2 else value & 255
    header = struct.pack(">IIBBBBB", *fields)
    checksum = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return content[:16] + header + checksum + content[33:]
