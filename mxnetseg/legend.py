"""The legend below a picture of classes."""

import cv2
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
INK, PAPER = (30, 30, 30), (255, 255, 255)


def draw_legend(entries, width):
    """Draw a panel with a coloured square, name and share for every class.

    Args:
        entries: [(name, RGB, share), ...].
        width: of the panel in pixels; it becomes wider if a single entry does not fit.

    Returns:
        uint8 (H, W, 3), RGB.
    """
    # large pictures are looked at scaled down, so the text grows with them; 12 pixels are the least
    size = int(np.clip(width / 70, 12, 64))
    scale, thickness = size / 22, max(1, round(size / 14))
    texts = [f"{_plain(name)} {_percent(share)}" for name, _, share in entries]
    longest = max(cv2.getTextSize(t, FONT, scale, thickness)[0][0] for t in texts)
    gap, line = size // 2, round(size * 1.7)
    cell = size + gap + longest + 2 * gap
    columns = max(1, (width - gap) // cell)
    rows = -(-len(entries) // columns)
    panel = np.empty((rows * line + 2 * gap, max(width, cell + gap), 3), np.uint8)
    panel[:] = PAPER
    for number, (text, (_, color, _)) in enumerate(zip(texts, entries)):
        column, row = divmod(number, rows)
        left, top = gap + column * cell, gap + row * line + (line - size) // 2
        corner = left + size, top + size
        cv2.rectangle(panel, (left, top), corner, tuple(int(c) for c in color), cv2.FILLED)
        cv2.rectangle(panel, (left, top), corner, INK, max(1, thickness // 2), cv2.LINE_AA)
        place = left + size + gap, top + size - size // 8
        cv2.putText(panel, text, place, FONT, scale, INK, thickness, cv2.LINE_AA)
    return panel


def _percent(share):
    return "<1%" if share < 0.01 else f"{100 * share:.0f}%"


def _plain(name):
    """OpenCV's letters are ASCII; long lists of synonyms keep the first."""
    name = str(name).split(",")[0].split(";")[0].strip()
    return name.encode("ascii", "replace").decode("ascii")[:40]
