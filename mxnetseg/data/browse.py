"""Contact sheets: images beside their coloured masks, raw or as training sees them."""

import cv2
import numpy as np

from ..description import IGNORE
from ..errors import UsageError
from ..legend import FONT, INK, PAPER, draw_legend
from ..palette import colorize
from .images import as_picture
from .loader import load_sample

_GAP, _LINE = 6, 18


def sheets(dataset, count=12, columns=3, cell=320, transform=None, seed=0, epoch=0):
    """Draw pictures of a data set, page by page.

    The samples are spread evenly over the split; a page shows four rows of them.

    Args:
        dataset: of :func:`~mxnetseg.data.create`.
        count: samples in all.
        columns: samples side by side.
        cell: width of an image in pixels.
        transform: a training transform; None: the images as they are.
        seed, epoch: of the transform.

    Yields:
        uint8 (H, W, 3), RGB.
    """
    if count < 1 or columns < 1 or cell < 16:
        raise UsageError("A contact sheet needs at least one image, a column, and 16 pixels.")
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round())
    per_page = columns * 4
    for start in range(0, len(chosen), per_page):
        cells, seen = [], np.zeros(256, np.int64)
        for index in chosen[start : start + per_page].astype(int).tolist():
            image, mask, name = load_sample(dataset, transform, seed, epoch, index)
            cells.append(_cell(image, mask, name, dataset.info, cell))
            if mask is not None:
                seen += np.bincount(mask.ravel(), minlength=256)
        yield _page(cells, min(columns, len(cells)), seen, dataset.info)


def _cell(image, mask, name, info, width):
    """An image, its mask beside it, the name below."""
    height = max(1, round(image.shape[0] * width / image.shape[1]))
    how = cv2.INTER_AREA if width < image.shape[1] else cv2.INTER_LINEAR
    parts = [cv2.resize(as_picture(image), (width, height), interpolation=how)]
    if mask is not None:
        small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        parts.append(colorize(small, info.palette, info.void_color))
    picture = np.concatenate(parts, axis=1)
    text = _fit(name, picture.shape[1] - 4)
    caption = np.full((_LINE, picture.shape[1], 3), PAPER, np.uint8)
    cv2.putText(caption, text, (2, _LINE - 5), FONT, 0.4, INK, 1, cv2.LINE_AA)
    return np.concatenate([picture, caption])


def _fit(text, width):
    """The end of a name that fits into ``width`` pixels."""
    text = text.encode("ascii", "replace").decode("ascii")
    if cv2.getTextSize(text, FONT, 0.4, 1)[0][0] <= width:
        return text
    while len(text) > 1 and cv2.getTextSize("..." + text, FONT, 0.4, 1)[0][0] > width:
        text = text[1:]
    return "..." + text


def _page(cells, columns, seen, info):
    """Cells in rows, and the colours of the classes that were seen below."""
    width = max(c.shape[1] for c in cells)
    rows = [cells[k : k + columns] for k in range(0, len(cells), columns)]
    page = []
    for row in rows:
        height = max(c.shape[0] for c in row)
        line = np.full((height + _GAP, columns * (width + _GAP) + _GAP, 3), PAPER, np.uint8)
        for k, c in enumerate(row):
            left = _GAP + k * (width + _GAP)
            line[_GAP : _GAP + c.shape[0], left : left + c.shape[1]] = c
        page.append(line)
    if seen.any():
        page.append(_legend(seen, info, page[0].shape[1]))
    width = max(part.shape[1] for part in page)  # a legend may be wider than its pictures
    return np.concatenate([_widened(part, width) for part in page])


def _widened(part, width):
    right = width - part.shape[1]
    return cv2.copyMakeBorder(part, 0, 0, 0, right, cv2.BORDER_CONSTANT, value=PAPER)


def _legend(seen, info, width):
    """The classes that were seen, the most frequent first, then the ignored pixels."""
    total = max(int(seen.sum()), 1)
    order = [c for c in np.argsort(-seen[: info.num_classes], kind="stable") if seen[c]]
    entries = [(info.classes[c], info.palette[c], seen[c] / total) for c in order]
    if seen[IGNORE]:
        entries.append(("(ignored)", info.void_color, seen[IGNORE] / total))
    return draw_legend(entries, width)
