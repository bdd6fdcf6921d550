"""Figures as inline SVG: no fonts, no scripts, colours from the page's style (run0, run1 ...)."""

import base64
import html
import math
from typing import NamedTuple

import numpy as np

from .. import files
from ..columns import counted

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40


class Axis(NamedTuple):
    """A range of values and where it lies in the figure, in pixels."""

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value):
        low, high, value = (
            (math.log10(v) if self.log else v) for v in (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.stop - self.start), 1)

    def ticks(self, count=5):
        """Round values in the range."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**e for e in range(first, last + 1)]
        span = self.high - self.low
        step = 10 ** math.floor(math.log10(span / count)) if span > 0 else 1
        step *= next((f for f in (1, 2, 5, 10) if span / (step * f) <= count), 10)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def axes(x, y, log_x=False, log_y=False):
    """Axes for ranges (low, high) of a figure of the usual size."""
    return (
        Axis(*x, LEFT, WIDTH - RIGHT, log_x),
        Axis(*y, HEIGHT - BOTTOM, TOP, log_y),
    )


def figure(content, label, width=WIDTH, height=HEIGHT, kind="plot"):
    """An SVG of pieces of text; ``label`` says what it shows to those who cannot see it."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{html.escape(label)}">{"".join(content)}</svg>'
    )


def frame(x, y, x_label, y_label, x_text=None, y_text=None, x_ticks=None, y_ticks=None):
    """Grid, numbers and names of two axes."""
    x_text, y_text = x_text or plain, y_text or plain
    parts = []
    for value in y.ticks() if y_ticks is None else y_ticks:
        at = y(value)
        parts.append(f'<line class="grid" x1="{x.start}" x2="{x.stop}" y1="{at}" y2="{at}"/>')
        parts.append(f'<text x="{x.start - 6}" y="{at + 4}" class="end">{y_text(value)}</text>')
    for value in x.ticks() if x_ticks is None else x_ticks:
        at = x(value)
        parts.append(f'<text x="{at}" y="{y.start + 16}" class="middle">{x_text(value)}</text>')
    parts.append(f'<line class="axis" x1="{x.start}" x2="{x.stop}" y1="{y.start}" y2="{y.start}"/>')
    middle = (x.start + x.stop) / 2
    parts.append(
        f'<text class="label middle" x="{middle}" y="{HEIGHT - 6}">{html.escape(x_label)}</text>'
    )
    if y_label:
        parts.append(
            f'<text class="label" x="{x.start}" y="{TOP - 2}">{html.escape(y_label)}</text>'
        )
    return parts


def plain(value):
    """A number as short as it can be said."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:g}k"
    return f"{value:.6g}"


def percent(value):
    return f"{100 * value:.4g}%"


def lines(series, x_label, label, y_text=None, low=None, high=None, log=False, x_text=None):
    """Lines over a common axis.

    Args:
        series: [{"x", "y", "css", "name"?, "dots"?, "text"?}, ...]; a point of a series with
            ``dots`` tells its numbers; ``text`` is written to the end of the line.
        low, high: of the values; by default what occurs.
    """
    xs = [v for s in series for v in s["x"]]
    ys = [v for s in series for v in s["y"]]
    bottom, top = min(ys) if low is None else low, max(ys) if high is None else high
    if not top > bottom:
        top, bottom = top + 0.5 * abs(top) + 1e-9, bottom - 0.5 * abs(bottom)
    x, y = axes((min(xs), max(xs)), (bottom, top), log_y=log)
    parts = frame(x, y, x_label, "", x_text, y_text)
    for s in series:
        points = [(x(a), y(b)) for a, b in zip(s["x"], s["y"])]
        path = "M" + "L".join(f"{a} {b}" for a, b in points)
        if len(points) > 1:
            parts.append(f'<path class="line {s["css"]}" d="{path}"/>')
        if s.get("dots") or len(points) == 1:
            for (a, b), at, value in zip(points, s["x"], s["y"]):
                text = f"{s.get('name', '')} {(y_text or plain)(value)} at {(x_text or plain)(at)}"
                parts.append(
                    f'<circle class="dot {s["css"]}" cx="{a}" cy="{b}" r="3.2">'
                    f"<title>{html.escape(text.strip())}</title></circle>"
                )
    lowest = HEIGHT  # the texts stand over each other, from the bottom
    for s in sorted((s for s in series if s.get("text")), key=lambda s: s["y"][-1]):
        lowest = min(y(s["y"][-1]) - 5, lowest - 13)
        text = html.escape(s["text"])
        parts.append(f'<text class="end of-{s["css"]}" x="{x.stop}" y="{lowest}">{text}</text>')
    return figure(parts, label)


def histogram(runs, label, bins=20):
    """How often values of 0 ... 1 occur, a colour for each run: runs are lists of values."""
    counts = [np.histogram(values, bins, (0, 1))[0] for values in runs]
    highest = max(int(c.max()) for c in counts) or 1
    x, y = axes((0, 1), (0, highest * 1.05))
    ticks = sorted({int(t) for t in y.ticks() if t == int(t)})
    parts = frame(x, y, "mIoU of an image", "", percent, y_ticks=ticks)
    width = (x.stop - x.start) / bins
    each = (width - 2) / len(runs)
    for run, values in enumerate(counts):
        for k, count in enumerate(values):
            if not count:
                continue
            left, top = x.start + k * width + 1 + run * each, y(int(count))
            ends = f"{100 * k / bins:.0f} to {100 * (k + 1) / bins:.0f}%"
            text = f"{counted(count, 'image')} with {ends}"
            parts.append(
                f'<rect class="bar run{run}" x="{left:.1f}" y="{top}" width="{each:.1f}" '
                f'height="{y.start - top:.1f}" rx="1.5"><title>{text}</title></rect>'
            )
    for run, values in enumerate(runs):
        at = x(float(np.mean(values)))
        parts.append(
            f'<line class="mean run{run}" x1="{at}" x2="{at}" y1="{TOP}" y2="{y.start}">'
            f"<title>mean {np.mean(values):.4f}</title></line>"
        )
    return figure(parts, label)


def scatter(runs, x_label, label, x_text=None):
    """Points over a logarithmic axis: runs are lists of (x, y in 0 ... 1, name)."""
    xs = [a for points in runs for a, _, _ in points]
    low, high = 10 ** math.floor(math.log10(min(xs))), 1.0
    x, y = axes((low, high), (0, 1), log_x=True)
    parts = frame(x, y, x_label, "", x_text or percent, percent)
    few = len(runs) == 1 and len(runs[0]) <= 25
    # no name over another or over a dot
    boxes = [(x(a) - 4, y(b) - 4, x(a) + 4, y(b) + 4) for a, b, _ in runs[0]]
    for run, points in enumerate(runs):
        for a, b, name in points:
            px, py = x(a), y(b)
            text = f"{name}: {percent(b)} IoU, {percent(a)} of the pixels"
            parts.append(
                f'<circle class="dot run{run}" cx="{px}" cy="{py}" r="4">'
                f"<title>{html.escape(text)}</title></circle>"
            )
            length = 5.4 * len(name)
            right = px + 7 + length < WIDTH
            left = px + 7 if right else px - 7 - length
            box = (left, py - 6, left + length, py + 6)
            if few and all(_apart(box, other) for other in boxes):
                boxes.append(box)
                where = f'x="{px + 7}"' if right else f'class="end" x="{px - 7}"'
                parts.append(f'<text {where} y="{py + 3.5}">{html.escape(name)}</text>')
    return figure(parts, label)


def _apart(a, b):
    return a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]


def reliability(runs, label):
    """Accuracy over confidence: runs are the bins of results.json; dots grow with the pixels."""
    x, y = axes((0, 1), (0, 1))
    parts = frame(x, y, "confidence (largest soft-max)", "", percent, percent)
    parts.append(
        f'<line class="ideal" x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}"/>'
        f'<text class="faint" x="{x(0.36)}" y="{y(0.22)}">as sure as right</text>'
    )
    for run, bins in enumerate(runs):
        known = [b for b in bins if b["pixels"]]
        total = sum(b["pixels"] for b in known)
        points = [(x(b["confidence"]), y(b["accuracy"])) for b in known]
        path = "M" + "L".join(f"{a} {b}" for a, b in points)
        parts.append(f'<path class="line run{run}" d="{path}"/>')
        for (a, b), row in zip(points, known):
            share = row["pixels"] / total
            right, sure, part = (
                percent(round(v, 4)) for v in (row["accuracy"], row["confidence"], share)
            )
            text = f"{right} right at {sure} confidence, {part} of the pixels"
            radius = 2.5 + 9 * math.sqrt(share)
            parts.append(
                f'<circle class="dot run{run}" cx="{a}" cy="{b}" r="{radius:.1f}">'
                f"<title>{text}</title></circle>"
            )
    return figure(parts, label)


def distance(runs, label):
    """Share of wrong pixels over the distance from the next boundary; bars, of results.json."""
    names = [
        f"{b['from']}" if b["from"] == b["to"] else f"{b['from']}-{b['to']}" if b["to"] else
        f">{b['from'] - 1}"
        for b in runs[0]
    ]  # fmt: skip
    wrong = [[1 - b["accuracy"] if b["pixels"] else None for b in bins] for bins in runs]
    highest = max([v for row in wrong for v in row if v is not None] or [1]) or 1
    x, y = axes((0, len(names)), (0, highest * 1.08))
    parts = frame(x, y, "pixels from the next boundary", "", x_ticks=(), y_text=percent)
    step = (x.stop - x.start) / len(names)
    each = (step - 10) / len(runs)
    for k, name in enumerate(names):
        middle = x.start + (k + 0.5) * step
        parts.append(f'<text class="middle" x="{middle:.1f}" y="{y.start + 16}">{name}</text>')
        for run, row in enumerate(wrong):
            if row[k] is None:
                continue
            total = sum(b["pixels"] for b in runs[run])
            top = y(row[k])
            text = (
                f"{percent(round(row[k], 4))} wrong; "
                f"{percent(round(runs[run][k]['pixels'] / total, 4))} of the pixels lie here"
            )
            left = x.start + k * step + 5 + run * each
            parts.append(
                f'<rect class="bar run{run}" x="{left:.1f}" y="{top}" '
                f'width="{each:.1f}" height="{max(0.5, y.start - top):.1f}" rx="2">'
                f"<title>{text}</title></rect>"
            )
    return figure(parts, label)


def spark(values, css="run0", width=84, height=22):
    """A small line of values of 0 ... 1, without axes."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(max(values), min(values) + 1e-3)
    points = [
        (
            1 + k * (width - 6) / (len(values) - 1),
            height - 3 - (v - low) / (high - low) * (height - 6),
        )
        for k, v in enumerate(values)
    ]
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)
    end = f'<circle class="dot {css}" cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="2"/>'
    text = " ".join(f"{100 * v:.0f}" for v in values)
    content = [f'<path class="line {css}" d="{path}"/>', end]
    return figure(content, f"over the validations: {text}", width, height, "spark")


# --- confusion ----------------------------------------------------------------------------------

# from nothing to all: what is right in blue, what is wrong in orange
_RIGHT = ((244, 246, 250), (158, 190, 232), (58, 112, 196), (18, 52, 118))
_WRONG = ((244, 246, 250), (250, 200, 140), (226, 96, 36), (128, 20, 20))


def confusion(share, names, label):
    """A row-normalised matrix as a picture; the page's script tells the numbers under the pointer.

    Args:
        share: float (C, C) of each row's pixels; NaN rows have none. names: of the classes.
    """
    count = len(names)
    cell = 34 if count <= 12 else 27 if count <= 20 else 16 if count <= 45 else 8
    size, upright = (11, False) if cell > 12 else (8, True)
    longest = 18 if upright else 22
    shown = [n if len(n) <= longest else n[: longest - 1] + "…" for n in names]
    left = max(len(n) for n in shown) * size * 0.56 + 12
    # names above lean by 55 degrees, where there is room
    top = left if upright else left * 0.83 + 6
    side = count * cell
    width, height = left + side + (4 if upright else left * 0.57 + 6), top + side + 6
    picture = base64.b64encode(files.png(_picture(share))).decode("ascii")
    parts = [
        f'<image class="cells" x="{left:.1f}" y="{top:.1f}" width="{side}" height="{side}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{picture}"/>'
    ]
    for k, name in enumerate(shown):
        at, name = (k + 0.5) * cell, html.escape(name)
        parts.append(_name(name, size, "end", left - 5, top + at + size * 0.35))
        kind = "upright" if upright else "leaning"
        parts.append(_name(name, size, kind, left + at + size * 0.3, top - 5))
    if cell >= 27:
        for row, column in np.argwhere(np.nan_to_num(share) >= 0.005):
            value = share[row, column]
            light = " light" if value > 0.28 else ""
            parts.append(
                f'<text class="number{light}" x="{left + (column + 0.5) * cell:.1f}" '
                f'y="{top + (row + 0.5) * cell + 3.5:.1f}">{100 * value:.0f}</text>'
            )
    text, kind = html.escape(label), "confusion fits" if count <= 12 else "confusion"
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{text}">'
        f"{''.join(parts)}</svg>"
    )


def _name(name, size, kind, x, y):
    if kind in ("leaning", "upright"):
        angle = 55 if kind == "leaning" else 90
        where = f'transform="translate({x:.1f} {y:.1f}) rotate(-{angle})"'
    else:
        where = f'class="{kind}" x="{x:.1f}" y="{y:.1f}"'
    return f'<text font-size="{size}" {where}>{name}</text>'


def _picture(share):
    """A pixel for each cell, uint8 (C, C, 3). By the square root: 1 % of a class is to be seen."""
    level = np.sqrt(np.nan_to_num(share))
    steps = np.linspace(0, 1, 4)
    colors = [
        np.stack([np.interp(level, steps, channel) for channel in zip(*ramp)], axis=2)
        for ramp in (_WRONG, _RIGHT)
    ]
    diagonal = np.eye(len(share), dtype=bool)[..., None]
    found = np.where(diagonal, colors[1], colors[0])
    found[np.isnan(share)] = (228, 228, 228)
    return found.round().astype(np.uint8)
