"""Pixels that are classified wrongly, and their share per class."""

import cv2
import numpy as np

from ..columns import aligned
from ..data.images import as_picture
from ..description import IGNORE
from ..inference.writers import WRONG, error_map
from ..palette import colorize
from . import pictures


def shares(counts, names):
    """The wrong pixels of each class, as JSON.

    Args:
        counts: int (K, K), row = truth, column = prediction.

    Returns:
        {"pixels", "wrong", "share", "classes": [{"name", "pixels", "wrong", "share": of the
        class's pixels, "part": of all wrong ones, "taken_for": [[name, share of the class's
        pixels], ...]}, ...]}; shares are None where there is nothing to share.
    """
    counts = np.asarray(counts)
    pixels, right = counts.sum(axis=1), counts.diagonal()
    wrong = pixels - right
    classes = []
    for k, name in enumerate(names):
        others = [j for j in np.argsort(-counts[k], kind="stable") if j != k and counts[k, j]]
        classes.append(
            {
                "name": name,
                "pixels": int(pixels[k]),
                "wrong": int(wrong[k]),
                "share": _share(wrong[k], pixels[k]),
                "part": _share(wrong[k], wrong.sum()),
                "taken_for": [[names[j], _share(counts[k, j], pixels[k])] for j in others[:3]],
            }
        )
    total = {"pixels": int(pixels.sum()), "wrong": int(wrong.sum())}
    return {**total, "share": _share(wrong.sum(), pixels.sum()), "classes": classes}


def as_text(found):
    """A table of :func:`shares`, the class with most wrong pixels first."""
    rows = [("class", "taken for", "pixels", "wrong", "share", "of all wrong")]
    for c in sorted(found["classes"], key=lambda c: -c["wrong"]):
        taken = ", ".join(f"{name} {_percent(share)}" for name, share in c["taken_for"])
        numbers = (f"{c['pixels']:,}", f"{c['wrong']:,}", _percent(c["share"]), _percent(c["part"]))
        rows.append((c["name"], taken, *numbers))
    all_of_them = (f"{found['pixels']:,}", f"{found['wrong']:,}", _percent(found["share"]), "")
    rows.append(("all", "", *all_of_them))
    return "\n".join(aligned(rows, right=4))


def picture(pixels, mask, classes, about, name):
    """Image, truth, prediction, and the wrong pixels in the colours of the truth over grey."""
    image = as_picture(pixels)
    errors = error_map(classes, mask)
    wrong, labelled = errors == WRONG, max(int((errors != IGNORE).sum()), 1)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    shown = (grey * 0.6 + 90).astype(np.uint8)
    shown[wrong] = colorize(mask, about.palette, about.void_color)[wrong]
    truth, found = (colorize(m, about.palette, about.void_color) for m in (mask, classes))
    found[mask == IGNORE] = about.void_color
    title = f"wrong: {100 * wrong.sum() / labelled:.1f} %, in the colour of the right class"
    cells = [(image, name), (truth, "truth"), (found, "prediction"), (shown, title)]
    sheet = pictures.beside([pictures.titled(p, text) for p, text in cells], 2)
    return pictures.with_legend(sheet, mask, about)


def _share(part, whole):
    return float(part / whole) if whole else None


def _percent(share):
    return "-" if share is None else f"{100 * share:.1f} %"
