"""Label values as tables, and what the rest of the toolkit knows about a data set."""

import fnmatch
import os
from dataclasses import dataclass, replace
from typing import Dict, Optional, Tuple

import numpy as np

from ..description import IGNORE, Description
from ..errors import UsageError
from ..palette import voc_palette
from .schema import UNKNOWN, DatasetSpec, SplitSpec

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Labels:
    """A form of the labels, as tables.

    Attributes:
        title: of the data set.
        encoding: ``index``, ``color`` or ``threshold``.
        table: uint8 (256,) or, where label values pass 255, (65536,): label value -> class, 255
            for ignored ones, :data:`UNKNOWN`.
        known: bool, of the same length: whether a label value is a class or ignored.
        lut: uint8, of the same length: label value -> class, or 255.
        inverse: (256,), uint8 or uint16: class -> label value; what is no class becomes the first
            ignored value.
        colors: for ``color``: packed RGB -> class or 255.
        lenient: whether unknown labels are ignored.
        variable: the array in a .mat file.
    """

    def __init__(self, spec, form, title, palette):
        self.title, self.encoding, self.variable = title, form.encoding, form.variable
        self.lenient = form.unknown == "ignore"
        kept = spec.kept()
        final = np.full(256, IGNORE, np.uint8)  # position in the list of classes -> class
        final[kept] = np.arange(len(kept))
        final[UNKNOWN] = UNKNOWN
        raws = [self._raw(form, i, c) for i, c in enumerate(spec.classes)]
        self.colors = None
        if self.encoding == "color":
            self.table = np.full(256, UNKNOWN, np.uint8)
            self.colors = self._color_table(spec, form, final, palette)
        else:
            self.table = final[self._index_table(spec, form, raws)]
        self.known = self.table != UNKNOWN
        self.lut = np.where(self.known, self.table, IGNORE).astype(np.uint8)
        self.inverse = self._inverse(spec, form, raws, kept)
        for array in (self.known, self.lut, self.inverse, self.table):
            array.setflags(write=False)

    @property
    def wide(self):
        """Whether label values pass 255."""
        return len(self.table) > 256

    def _raw(self, form, index, entry):
        """The label values of a class: (values, ranges)."""
        usual = isinstance(form, DatasetSpec)  # only this form has the values of the classes
        raw = entry.raw if usual else form.raw[index] if form.raw is not None else None
        if raw is None:
            return [form.first_raw + index], []
        return self._split(raw if isinstance(raw, list) else [raw], entry.name)

    def _split(self, raw, name):
        """Single values, and ranges."""
        values, ranges = [], []
        for value in raw:
            if isinstance(value, int):
                values.append(value)
                continue
            first, _, last = value.partition("-")
            if not (first.isdigit() and last.isdigit()):
                raise UsageError(f"{self.title}: '{value}' of '{name}' is no range such as 0-9.")
            ranges.append(range(int(first), int(last) + 1))
        return values, ranges

    def _index_table(self, spec, form, raws):
        """Label value -> position in the list of classes, IGNORE or UNKNOWN."""
        meanings = [(i, c.name, *raw) for i, (c, raw) in enumerate(zip(spec.classes, raws))]
        ignored, ranges = self._split(form.ignore or (), "ignore")
        meanings.append((IGNORE, "ignore", ignored, ranges))
        top = max(
            [v for _, _, values, _ in meanings for v in values]
            + [r[-1] for _, _, _, ranges in meanings for r in ranges],
            default=0,
        )
        table = np.full(256 if top < 256 else 65536, UNKNOWN, np.uint8)
        taken = {}
        for index, name, values, _ in meanings:
            for raw in values:
                self._check_raw(raw, name, taken)
                table[raw] = index
        for index, name, _, ranges in meanings:
            for values in ranges:
                for raw in values:
                    if raw not in taken:
                        taken[raw] = name
                        table[raw] = index
        if form.ignore is None and IGNORE not in taken:
            table[IGNORE] = IGNORE
        return table

    def _check_raw(self, raw, name, taken):
        if not 0 <= raw <= 65535:
            raise UsageError(f"{self.title}: the label value {raw} of '{name}' is not in 0..65535.")
        if raw in taken:
            raise UsageError(
                f"{self.title}: the label value {raw} stands for '{taken[raw]}' and for '{name}'; "
                "give each value one meaning."
            )
        taken[raw] = name

    def _inverse(self, spec, form, raws, kept):
        firsts = [values[0] if values else ranges[0][0] for values, ranges in raws]
        if self.encoding == "color":
            firsts = list(range(len(firsts)))
        dropped = [raw for i, raw in enumerate(firsts) if i not in kept]
        ignored = [raw for raw in form.ignore or () if isinstance(raw, int)] + dropped
        inverse = np.full(256, ignored[0] if ignored else IGNORE, np.uint16)
        inverse[: len(kept)] = [firsts[i] for i in kept]
        return inverse if inverse.max() > 255 else inverse.astype(np.uint8)

    def _color_table(self, spec, form, final, palette):
        """Packed RGB -> class or IGNORE, as a dict."""
        table = {}
        for index, entry in enumerate(spec.classes):
            own = [tuple(palette[index])] if entry.mask_colors is None else entry.mask_colors
            for color in own:
                packed = pack(color)
                if packed in table:
                    raise UsageError(
                        f"{self.title}: the colour {tuple(int(c) for c in color)} of "
                        f"'{entry.name}' stands for two classes; give each colour one meaning."
                    )
                table[packed] = int(final[index])
        for color in form.ignore or ():
            table[pack(color)] = IGNORE
        return table

    def allowed(self):
        """The allowed label values in words, for error messages."""
        if self.encoding == "color":
            return f"the {len(self.colors)} colours of {self.title}"
        if self.encoding == "threshold":
            return "0 and 1, or grey with a bright part"
        classes = _ranges(np.flatnonzero(self.known & (self.lut != IGNORE)))
        ignored = _ranges(np.flatnonzero(self.known & (self.lut == IGNORE)))
        return f"classes {classes}" + (f", ignored {ignored}" if ignored else "")


@dataclass(frozen=True, eq=False)
class Info(Description):
    """What the rest of the toolkit knows about a data set: its Description, and how it is read.

    Attributes:
        title: the name for people.
        folders: the names of its folder that are looked for.
        spec: the :class:`DatasetSpec`.
        labels: mapping form -> :class:`Labels`; "" is the usual form.
        mirror: uint8 (256,), class -> class in a mirrored image; None where mirroring changes
            none.
        splits: mapping split -> :class:`SplitSpec`; empty for a folder, where the folders count.
    """

    title: str
    folders: Tuple[str, ...]
    spec: DatasetSpec
    labels: Dict[str, Labels]
    mirror: Optional[np.ndarray]
    splits: Dict[str, SplitSpec]

    @property
    def folder(self):
        """The name of its folder."""
        return self.folders[0]

    @property
    def ignore_label(self):
        return IGNORE

    # of the usual form
    encoding = property(lambda self: self.labels[""].encoding)
    colors = property(lambda self: self.labels[""].colors)
    table = property(lambda self: self.labels[""].table)
    known = property(lambda self: self.labels[""].known)
    lut = property(lambda self: self.labels[""].lut)
    inverse = property(lambda self: self.labels[""].inverse)

    def form_of(self, mask):
        """The label form of a mask file by its name."""
        name = os.path.basename(mask)
        for form, facts in self.spec.forms.items():
            if facts.files and fnmatch.fnmatchcase(name, facts.files):
                return form
        return ""

    def with_palette(self, palette):
        """The same with other colours for pictures."""
        return replace(self, palette=_read_only(np.array(palette, np.uint8)))


def describe(name, spec):
    """The :class:`Info` of a specification."""
    title = spec.title or name
    folders = [spec.folder] if isinstance(spec.folder, str) else spec.folder
    kept = spec.kept()
    classes = tuple(spec.classes[i].name for i in kept)
    generated = voc_palette(len(spec.classes), first=1)
    palette = np.array([c.color or generated[i] for i, c in enumerate(spec.classes)], np.uint8)
    labels = {"": Labels(spec, spec, title, palette)}
    for form, facts in spec.forms.items():
        labels[form] = Labels(spec, facts, title, palette)
    return Info(
        name=name,
        classes=classes,
        palette=_read_only(palette[kept]),
        void_color=tuple(spec.void_color),
        mean=tuple(spec.mean or _for_channels(IMAGENET_MEAN, spec.channels)),
        std=tuple(spec.std or _for_channels(IMAGENET_STD, spec.channels)),
        max_value=spec.max_value,
        scales=tuple(spec.scales),
        title=title,
        folders=tuple(folders or [name]),
        spec=spec,
        labels=labels,
        mirror=_mirror(spec, classes),
        splits=dict(spec.splits),
    )


def _mirror(spec, classes):
    if not spec.mirror:
        return None
    table = np.arange(256, dtype=np.uint8)
    for pair in spec.mirror:
        left, right = (classes.index(name) for name in pair)
        table[left], table[right] = right, left
    return _read_only(table)


def _read_only(array):
    array.setflags(write=False)
    return array


def _for_channels(values, channels):
    return values if channels == 3 else (round(sum(values) / 3, 3),) * channels


def pack(color):
    """RGB triple -> one number."""
    red, green, blue = (int(c) for c in color)
    return red << 16 | green << 8 | blue


def _ranges(values):
    """[0, 1, 2, 5] -> "0-2, 5"."""
    parts = []
    for value in values:
        if parts and value == parts[-1][1] + 1:
            parts[-1][1] = value
        else:
            parts.append([value, value])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
