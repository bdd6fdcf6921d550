"""What a data check says: findings, numbers for each split, and both as text or JSON."""

import collections
import dataclasses
import json
from typing import Dict, List, Optional

from ..columns import counted


@dataclasses.dataclass
class Finding:
    """Something that is wrong (``error``) or looks wrong (``warning``).

    Attributes:
        severity: ``error`` or ``warning``.
        kind: a short word: ``no mask``, ``surplus mask``, ``size``, ``unknown label``, ``RGB``,
            ``16-bit``, ``truncated``, ``unreadable``, ``empty``, ``missing``, ``duplicate``,
            ``ending``, ``channels``, ``all ignored``, ``empty split``, ``count``, ``list``,
            ``same name``, ``unlisted mask``, ``resized mask``, ``absent class``, ``lossy mask``.
        split: the split it belongs to.
        file: its path, or an empty text.
        problem: what is wrong, to follow the file's name.
        remedy: what to do.
    """

    severity: str
    kind: str
    split: str
    file: str
    problem: str
    remedy: str

    def __str__(self):
        return f"{self.file} {self.problem}; {self.remedy}.".lstrip()


@dataclasses.dataclass
class SplitReport:
    """The numbers of a split.

    Attributes:
        split: its name.
        images, masks: how many were found in pairs, the masks without those that are missing.
        expected: the expected number of images, or None.
        count: in words: ``complete``, ``partial: 5 of 2975``.
        sizes: mapping "WxH" -> images.
        pixels: pixels per class.
        ignored: ignored pixels.
        occurs: images per class.
    """

    split: str
    images: int = 0
    masks: int = 0
    expected: Optional[int] = None
    count: str = ""
    sizes: Dict[str, int] = dataclasses.field(default_factory=dict)
    pixels: List[int] = dataclasses.field(default_factory=list)
    ignored: int = 0
    occurs: List[int] = dataclasses.field(default_factory=list)

    @property
    def ignored_share(self):
        """Ignored pixels as a part of all labelled ones, 0..1."""
        total = sum(self.pixels) + self.ignored
        return self.ignored / total if total else 0.0


@dataclasses.dataclass
class Report:
    """What :func:`check` found.

    Attributes:
        dataset: title of the data set.
        root: its folder, or ``drawn``.
        classes: class names.
        splits: a report for each split that exists.
        absent: splits that are not there.
        findings: errors first.
    """

    dataset: str
    root: str
    classes: List[str]
    splits: List[SplitReport]
    absent: List[str]
    findings: List[Finding]

    @property
    def errors(self):
        return [f for f in self.findings if f.severity == "error"]

    @property
    def warnings(self):
        return [f for f in self.findings if f.severity == "warning"]

    @property
    def ok(self):
        """Whether training can start: no errors. Warnings do not count."""
        return not self.errors

    def as_dict(self):
        """For JSON."""
        content = dataclasses.asdict(self)
        content["ok"] = self.ok
        for part, report in zip(content["splits"], self.splits):
            part["ignored_share"] = report.ignored_share
        return content

    def as_json(self):
        return json.dumps(self.as_dict(), indent=2)

    def as_text(self, limit=20):
        """A table for people; at most ``limit`` findings of one kind are spelled out."""
        lines = [f"{self.dataset}  ({self.root})", ""]
        rows = [("split", "images", "masks", "count", "sizes", "ignored")]
        for part in self.splits:
            sizes = sorted(part.sizes.items(), key=lambda s: -s[1])
            text = ", ".join(f"{size} ({n})" for size, n in sizes[:2])
            if len(sizes) > 2:
                text = f"{len(sizes)} sizes, mostly {sizes[0][0]}"
            ignored = f"{100 * part.ignored_share:.2f} %" if part.masks else "-"
            rows.append((part.split, part.images, part.masks, part.count, text, ignored))
        lines += _table(rows)
        if self.absent:
            lines.append(f"not there: {', '.join(self.absent)}")
        shown = [part for part in self.splits if sum(part.pixels)]
        if shown:
            header = ["id", "class"]
            for part in shown:
                header += [f"{part.split} %", "in images"]
            rows = [tuple(header)]
            for index, name in enumerate(self.classes):
                row = [index, name]
                for part in shown:
                    share = 100 * part.pixels[index] / sum(part.pixels)
                    row += [f"{share:.3f}", part.occurs[index]]
                rows.append(tuple(row))
            lines += [""] + _table(rows)
        lines.append("")
        for severity, found in (("error", self.errors), ("warning", self.warnings)):
            kinds = collections.Counter()
            for finding in found:
                kinds[finding.kind] += 1
                if kinds[finding.kind] <= limit:
                    lines.append(f"{severity}: {finding}")
            for kind, number in kinds.items():
                if number > limit:
                    lines.append(f"{severity}: {number - limit} more of the kind '{kind}'.")
        if self.findings:
            errors, warnings = len(self.errors), len(self.warnings)
            lines.append(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}")
        else:
            lines.append("nothing wrong")
        return "\n".join(lines)


def _table(rows):
    """Aligned columns: text to the left, numbers to the right."""
    widths = [max(len(str(row[k])) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for k, cell in enumerate(row):
            text = str(cell)
            number = all(str(r[k]).replace(".", "").isdigit() for r in rows[1:])
            cells.append(text.rjust(widths[k]) if number else text.ljust(widths[k]))
        lines.append("  ".join(cells).rstrip())
    return lines
