"""Pictures for people: titles, colour bars, several side by side."""

import cv2
import numpy as np

from ..inference.pictures import present
from ..legend import FONT, INK, PAPER, draw_legend

MAPS = {"viridis": cv2.COLORMAP_VIRIDIS, "jet": cv2.COLORMAP_JET, "turbo": cv2.COLORMAP_TURBO}


def colored(values, low=None, high=None, colors="viridis"):
    """Numbers (H, W) as colours, ``low`` ... ``high`` (default: all of them) over a colour map."""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    scaled = (np.asarray(values, np.float32) - low) / max(high - low, 1e-12)
    index = (255 * np.clip(scaled, 0, 1) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(cv2.applyColorMap(index, MAPS[colors])[..., ::-1])


def with_bar(picture, low, high, colors="viridis", unit=""):
    """A picture with a colour bar at its right: ``low`` below, ``high`` above."""
    height = picture.shape[0]
    size = _text_size(picture.shape[1])
    width = max(10, size)
    ramp = np.linspace(high, low, max(height, 2), dtype=np.float32)[:, None].repeat(width, axis=1)
    ticks = np.linspace(low, high, 5 if height >= 8 * size else 2)
    texts = [f"{number(t, high - low)}{unit}" for t in ticks]
    room = max(_measure(t, size) for t in texts) + 3 * size // 2
    panel = np.full((height, size + width + room, 3), 255, np.uint8)
    panel[:, size : size + width] = colored(ramp, low, high, colors)[:height]
    for k, text in enumerate(texts):
        y = round((height - 1) * (1 - k / (len(texts) - 1)))
        cv2.line(panel, (size + width, y), (size + width + size // 3, y), INK, 1)
        base = int(np.clip(y + size // 3, size, height - 2))
        _write(panel, text, (size + width + size // 2, base), size)
    return np.concatenate([picture, panel], axis=1)


def titled(picture, title, size=None):
    """A picture below its title; the title is broken into lines where it is too long."""
    size = size or _text_size(picture.shape[1])
    lines = _broken(title, size, picture.shape[1] - size)
    strip = np.full((len(lines) * (size * 3 // 2) + size // 2, picture.shape[1], 3), 255, np.uint8)
    for k, line in enumerate(lines):
        _write(strip, line, (size // 3, size + k * (size * 3 // 2) + size // 4), size)
    return np.concatenate([strip, picture])


def beside(pictures, columns=None):
    """Pictures in a grid; a column is as wide as its widest, and a row stands on one line."""
    columns = min(columns or len(pictures), len(pictures))
    rows = [pictures[k : k + columns] for k in range(0, len(pictures), columns)]
    heights = [max(p.shape[0] for p in row) for row in rows]
    widths = [max(p.shape[1] for p in pictures[k::columns]) for k in range(columns)]
    gap = max(6, max(widths) // 60)
    shape = sum(heights) + gap * (len(rows) + 1), sum(widths) + gap * (columns + 1), 3
    sheet, top = np.full(shape, 255, np.uint8), gap
    for row, height in zip(rows, heights):
        left = gap
        for picture, width in zip(row, widths):
            above = top + height - picture.shape[0]
            sheet[above : above + picture.shape[0], left : left + picture.shape[1]] = picture
            left += width + gap
        top += height + gap
    return sheet


def number(value, scale):
    """A number with as many digits as a range of ``scale`` needs."""
    if scale == 0 or not 1e-3 <= abs(scale) < 1e5:
        return f"{value:.2g}"
    digits = max(0, 2 - int(np.floor(np.log10(scale))))
    text = f"{value:.{digits}f}"
    return text if float(text) else text.lstrip("-")


def _text_size(width):
    """Height of letters in pixels: pictures that are large are looked at from further away."""
    return int(np.clip(width / 42, 12, 64))


def _measure(text, size):
    return cv2.getTextSize(text, FONT, size / 22, max(1, size // 14))[0][0]


def _write(picture, text, place, size):
    text = text.encode("ascii", "replace").decode("ascii")
    cv2.putText(picture, text, place, FONT, size / 22, INK, max(1, size // 14), cv2.LINE_AA)


def _broken(text, size, width):
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and _measure(longer, size) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def filled(picture, width):
    """A picture on paper of at least ``width``."""
    missing = max(0, width - picture.shape[1])
    return cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=PAPER)


def with_legend(sheet, classes, about):
    """A sheet with the names of the classes in a map below it."""
    found = present(classes, about.num_classes)
    entries = [(about.classes[k], about.palette[k], share) for k, share in found]
    panel = draw_legend(entries, sheet.shape[1])
    width = max(panel.shape[1], sheet.shape[1])
    return np.concatenate([filled(sheet, width), filled(panel, width)])
