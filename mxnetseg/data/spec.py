"""The facts about a data set: the schema of ``catalog/*.yaml`` and of a user's own YAML.

A data set is a list of classes, a rule from label values to classes, and a layout: how the files
below its root folder are found. README-like example::

    title: Courtyards
    classes:                        # the order is the class index
      - wall                        # label value 0
      - {name: tree, raw: [7, 8], color: [107, 142, 35]}
    ignore: [255]                   # label values that are left out
    splits:
      train: {count: 367}           # the expected number of images is optional
      val: {}
      trainval: {concat: [train, val]}
      test: {labels: none}
    layouts:                        # the first that exists wins
      - image: "{split}/{stem}.png"
        mask: "{split}annot/{stem}.png"

See :class:`DatasetSpec`, :class:`LabelForm` and :class:`Layout` for every key.
"""

import difflib
import fnmatch
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Literal, NamedTuple, Optional, Tuple, Union

import numpy as np
import pydantic
import yaml

from ..description import Description
from ..errors import UsageError
from ..palette import voc_palette
from ..registry import unknown

IGNORE = 255
"""The value of ignored pixels in memory."""

UNKNOWN = 254
"""The value of a label that is neither a class nor ignored; it never leaves this package."""

CATALOG = Path(__file__).parent / "catalog"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LISTS = ("list", "form")
"""The options that every data set of files takes."""

Color = Tuple[int, int, int]
Raw = Union[int, str, List[Union[int, str]]]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class ClassSpec(_Strict):
    """One class. In YAML a bare name is enough.

    Attributes:
        name: what it is called.
        raw: the label value(s) in the files; several are merged, the first one is written on
            export. A text such as ``0-459`` means all values of the range that mean nothing
            else. Default: ``first_raw`` + the position in the list.
        color: RGB for pictures. Default: the VOC bit pattern.
        mask_colors: for colour-coded masks, the colours that mean this class. Default: ``color``.
    """

    name: str
    raw: Optional[Raw] = None
    color: Optional[Color] = None
    mask_colors: Optional[List[Color]] = None


class LabelForm(_Strict):
    """How the values in mask files stand for classes.

    Attributes:
        encoding: ``index`` (grey or palette masks, 8 or 16 bits, or arrays in .mat, .npy and .txt
            files), ``color`` (RGB masks) or ``threshold`` (two classes; the files hold 0 and 1,
            or grey that is cut at 128).
        first_raw: the label value of class 0, where none are given.
        raw: of a form in ``forms``: the label values of each class.
        ignore: the label values (ranges as in ``raw``; for colour-coded masks: RGB triples) that
            are ignored. Default: 255, unless it is a class; for colour-coded masks none.
        unknown: what to do with a label that is neither: ``error``, or ``ignore``, which the
            data check still reports.
        variable: the array in a .mat file, for instance ``GTcls.Segmentation``.
        files: the masks with such names (``*_labelTrainIds.png``) have this form.
    """

    encoding: Literal["index", "color", "threshold"] = "index"
    first_raw: int = 0
    raw: Optional[List[Raw]] = None
    ignore: Optional[List[Union[int, Color, str]]] = None
    unknown: Literal["error", "ignore"] = "error"
    variable: Optional[str] = None
    files: Optional[str] = None

    @pydantic.model_validator(mode="after")
    def _ignore_fits(self):
        for value in self.ignore or ():
            if isinstance(value, tuple) != (self.encoding == "color"):
                kind = "RGB triples" if self.encoding == "color" else "label values"
                raise ValueError(f"'ignore' must hold {kind} because encoding is '{self.encoding}'")
        return self


class SplitSpec(_Strict):
    """One split.

    Attributes:
        count: the expected number of images.
        labels: ``yes``; ``none``: the images have no masks, or masks that mean nothing;
            ``optional``: either every image has its mask or no image has one.
        concat: the splits that this one is made of, one after the other; a list of its own
            beside theirs comes first.
    """

    count: Optional[int] = None
    labels: Literal["yes", "none", "optional"] = "yes"
    concat: Optional[List[str]] = None

    @pydantic.field_validator("labels", mode="before")
    @classmethod
    def _yaml_booleans(cls, value):
        return {True: "yes", False: "none", None: "none"}.get(value, value)  # YAML's bare yes


class Layout(_Strict):
    """How the files of a split are found below the root folder.

    ``image`` and ``mask`` are paths with placeholders. ``{split}`` is the split's folder. Without
    ``list``, ``{stem}`` or any other name stands for text within one folder name or file name,
    ``{stem:path}`` may also cross folders, ``{folder:train|test}`` is one of these texts, and
    ``{ext}`` is any usual image ending, not necessarily the same for image and mask. A mask belongs
    to the image with the same text in the placeholders that its pattern uses.

    With ``list``, a text file with an entry per line, ``{0}`` and ``{1}`` are the columns and
    ``{0:stem}`` is a column without its ending. File names do where stems are expected, and stems
    where file names are.

    Attributes:
        name: what to call this layout in messages.
        image: pattern of the images.
        mask: pattern of the masks; none: this layout has no masks.
        merge: an image has several masks, sorted by name; a pixel keeps the first value but 0.
        form: the label form, see ``forms``. Default: by the name of the mask.
        list: path of the list file, or several, of which the first that exists counts; may use
            ``{split}``. A .mat file gives numbers.
        variable: the array in a .mat list; may use ``{split}``.
        digits: how many digits such a number has in file names.
        lines: for each split, the first and the last entry of the list that belong to it.
        without: a list in the same folder, whose entries are left out.
        keep_parts: how many of the last parts of a listed path count. Default: absolute paths
            are cut until the rest is found below the root.
        folders: the text for ``{split}`` where it is not the split's name.
        splits: the splits that exist in this layout. Default: all.
        divide: all splits lie together and are told apart by ``frames`` or ``folds`` of the
            data set.
        offset: for each split, what to add to the number ``{n}`` of an image to get its mask's.
        counts: the expected numbers of images where they differ in this layout.
        exclude: image paths below the root that are left out.
    """

    name: str = ""
    image: str
    mask: Optional[str] = None
    merge: bool = False
    form: Optional[str] = None
    list: Optional[Union[str, List[str]]] = None
    variable: Optional[str] = None
    digits: int = 1
    lines: Dict[str, Tuple[int, int]] = {}
    without: Optional[str] = None
    keep_parts: Optional[int] = pydantic.Field(None, ge=1)
    folders: Dict[str, str] = {}
    splits: Optional[List[str]] = None
    divide: Optional[Literal["frames", "folds"]] = None
    offset: Dict[str, int] = {}
    counts: Dict[str, int] = {}
    exclude: List[str] = []


FOLDER_LAYOUT = Layout(
    name="folder",
    image="images/{split}/{stem:path}.{ext}",
    mask="masks/{split}/{stem:path}.{ext}",
)


class DatasetSpec(LabelForm):
    """A data set. The keys of :class:`LabelForm` describe the usual form of its labels.

    Attributes:
        title: its name for people.
        folder: its folder below ``$MXNETSEG_DATA`` or ``datasets``; of several, the first that
            exists.
        inside: folders that may lie between the root and the files.
        root: its root folder, for a user's YAML; relative to the YAML file.
        classes: the classes in the order of their indices.
        drop: classes that are ignored after all.
        order: the classes that count, in this order; the others are ignored.
        forms: further forms of the labels, by name.
        void_color: RGB for ignored pixels in pictures.
        mirror: pairs of classes that a mirrored image swaps (left leg, right leg).
        channels: of the images. Other than 3: grey, multispectral ...; the network needs
            ``in_channels`` then.
        max_value: the value in image files that means 1. Default: 255 for files of 8 bits, 65535
            for 16 bits, 1 for fractions. Where it is given, and where ``channels`` is not 3,
            images keep their precision; else they become 8 bits.
        mean, std: the normalisation of the images, on 0..1, for each channel. Default:
            ImageNet's, and its average for other than 3 channels.
        scales: the scales of multi-scale evaluation (with flip).
        short_edge: images with masks are resized: the short edge to this, the other one to a
            multiple of 8.
        generator: ``streets`` for pictures that are drawn instead of read.
        splits: the splits; none: the folders that exist.
        layouts: the layouts; the first that exists wins.
        exclude: names (without folder and ending) of images that are left out.
        frames: for each split, ranges of image names: (first, last).
        folds, fold: a division for data sets without one: images are dealt to so many folds by a
            hash of their names; ``val`` is this fold, ``train`` the others.
        config: JSON files with colours, as Mapillary Vistas has them; the first that exists.
        prepare: what ``mxnetseg prepare`` has to do before the data can be used.
        options: for ``create``: option -> value -> keys that replace those of the data set. The
            first value is the default.
        notes: remarks for people.
    """

    title: str = ""
    folder: Optional[Union[str, List[str]]] = None
    inside: List[str] = []
    root: Optional[str] = None
    classes: List[ClassSpec] = pydantic.Field(min_length=1, max_length=UNKNOWN)
    drop: List[str] = []
    order: Optional[List[str]] = None
    forms: Dict[str, LabelForm] = {}
    void_color: Color = (0, 0, 0)
    mirror: List[Tuple[str, str]] = []
    channels: int = pydantic.Field(3, ge=1, le=512)
    max_value: Optional[float] = pydantic.Field(None, gt=0)
    mean: Optional[List[float]] = None
    std: Optional[List[float]] = None
    scales: List[float] = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    short_edge: Optional[int] = pydantic.Field(None, ge=8)
    generator: Optional[Literal["streets"]] = None
    splits: Dict[str, SplitSpec] = {}
    layouts: List[Layout] = [FOLDER_LAYOUT]
    exclude: List[str] = []
    frames: Dict[str, List[Tuple[str, str]]] = {}
    folds: Optional[int] = pydantic.Field(None, ge=2)
    fold: int = pydantic.Field(0, ge=0)
    config: List[str] = []
    prepare: Optional[str] = None
    options: Dict[str, Dict[str, Dict[str, Any]]] = {}
    notes: List[str] = []

    @pydantic.field_validator("classes", mode="before")
    @classmethod
    def _bare_names(cls, value):
        if isinstance(value, list):
            return [{"name": v} if isinstance(v, str) else v for v in value]
        return value

    @pydantic.field_validator("splits", mode="before")
    @classmethod
    def _bare_splits(cls, value):
        if isinstance(value, list):
            return {name: {} for name in value}
        if isinstance(value, dict):
            return {name: {} if split is None else split for name, split in value.items()}
        return value

    @pydantic.model_validator(mode="after")
    def _consistent(self):
        names = [c.name for c in self.classes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the class '{name}' is listed twice")
        for name, split in self.splits.items():
            for part in split.concat or ():
                if part not in self.splits or self.splits[part].concat:
                    raise ValueError(f"the split '{name}' is made of '{part}', which is no split")
        for name in [*self.drop, *(self.order or ()), *(n for pair in self.mirror for n in pair)]:
            if name not in names:
                raise ValueError(f"there is no class '{name}'; {_near(name, names)}")
        if not self.kept():
            raise ValueError("no class is left")
        for key in ("mean", "std"):
            values = getattr(self, key)
            if values is not None and len(values) != self.channels:
                raise ValueError(f"'{key}' has {len(values)} numbers for {self.channels} channels")
        if self.channels == 3 and self.max_value is None and max(self.mean or [0]) > 1:
            raise ValueError("'mean' and 'std' are those of images in 0..1: divide them by 255")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("'std' must be positive")
        for name, form in self.forms.items():
            if form.raw is not None and len(form.raw) != len(names):
                raise ValueError(f"'raw' of the form '{name}' must have one entry for each class")
        for layout in self.layouts:
            for split in layout.splits or ():
                if self.splits and split not in self.splits:
                    raise ValueError(f"a layout names '{split}', which is no split")
            if layout.form is not None and layout.form not in self.forms:
                raise ValueError(
                    f"a layout names the form '{layout.form}', which is not in 'forms'"
                )
            if layout.divide and not getattr(self, layout.divide):
                raise ValueError(f"a layout is divided by '{layout.divide}', which is not given")
        return self

    def kept(self):
        """Positions in ``classes`` of those that count, in the order of their final indices."""
        names = [c.name for c in self.classes]
        order = names if self.order is None else self.order
        return [names.index(name) for name in order if name not in self.drop]


def _near(key, known):
    close = difflib.get_close_matches(str(key), known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}."


_KEYS = {"classes": ClassSpec, "splits": SplitSpec, "layouts": Layout, "forms": LabelForm}


def _explain(error, source):
    """One sentence about the first problem that pydantic found."""
    first = error.errors()[0]
    place = [
        part for part in first["loc"] if not str(part).startswith(("function-", "list[", "tuple["))
    ]
    where = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        model = _KEYS.get(place[0], DatasetSpec) if len(place) > 1 else DatasetSpec
        return f"Unknown key '{where}' in {source}: {_near(place[-1], list(model.model_fields))}"
    if first["type"] == "missing":
        return f"The key '{where}' is missing in {source}."
    message = first["msg"].replace("Value error, ", "")
    return f"{source}: {where + ': ' if where else ''}{message}."


def apply_options(content, options, title):
    """The content of a YAML file with the keys that its options replace.

    Args:
        options: mapping name -> value; the others have their default.

    Raises:
        UsageError: an unknown option or value.
    """
    declared = content.get("options") or {}
    for name in options:
        if name not in declared:
            known = [*declared, *LISTS]
            raise unknown(f"option of {title}", name, known)
    content = dict(content)
    for name, values in declared.items():
        choices = {str(value): patch for value, patch in values.items()}
        chosen = str(options.get(name, next(iter(choices))))
        if chosen not in choices:
            raise unknown(f"value of the option '{name}' of {title}", chosen, choices)
        for key, value in (choices[chosen] or {}).items():
            merged = key in ("splits", "forms") and key in content
            content[key] = {**content[key], **value} if merged else value
    return content


def parse_spec(content, source, options=None):
    """A :class:`DatasetSpec` from the content of a YAML file; ``source`` names it in errors."""
    if not isinstance(content, dict):
        raise UsageError(f"{source} holds no keys; it needs at least a list 'classes'.")
    try:
        content = apply_options(content, options or {}, content.get("title") or source)
    except AttributeError:
        raise UsageError(f"{source}: 'options' must map option -> value -> keys.") from None
    if content.get("options"):
        content["options"] = {
            name: {str(value): patch or {} for value, patch in values.items()}
            for name, values in content["options"].items()
        }
    content = dict(content)
    # The short form of classes.yaml: names, colours and label values as parallel lists.
    classes = content.get("classes")
    for entry in classes if isinstance(classes, list) else ():
        if not isinstance(entry, (str, dict)):
            raise UsageError(
                f"{source}: YAML reads a class name as {entry!r} (no, yes, on, off and numbers are "
                "not text); put it in quotes."
            )
    for key, field in (("colors", "color"), ("raw_ids", "raw")):
        values = content.pop(key, None)
        if values is None:
            continue
        if not isinstance(classes, list) or len(values) != len(classes):
            raise UsageError(f"{source}: '{key}' must have one entry for each of 'classes'.")
        classes = [{"name": c} if isinstance(c, str) else dict(c) for c in classes]
        for entry, value in zip(classes, values):
            entry[field] = value
    content["classes"] = classes
    if classes is None:
        raise UsageError(f"The key 'classes' is missing in {source}.")
    try:
        return DatasetSpec.model_validate(content)
    except pydantic.ValidationError as error:
        raise UsageError(_explain(error, source)) from None


def read_spec(path, options=None):
    """Read a catalog file or a user's YAML; ``options`` as for :func:`apply_options`."""
    try:
        with open(str(path), encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where} is not valid YAML; correct or quote that line.") from None
    return parse_spec(content, str(path), options)


def names():
    """The data sets of the catalog."""
    return sorted(path.stem for path in CATALOG.glob("*.yaml"))


class Source(NamedTuple):
    """A data set's facts and where they come from."""

    name: str
    spec: DatasetSpec
    home: Optional[Path]  # the folder that a relative root starts from; None: the catalog


def find(name, **options):
    """The :class:`Source` called ``name``: a catalog entry, a YAML file, or a folder.

    Args:
        **options: those that its YAML declares.

    Raises:
        UsageError: there is no such data set or option, or its YAML is wrong.
    """
    text = str(name)
    # MXNetSeg spells PascalVOC, StanfordBackground ...
    spelled = {key.replace("_", ""): key for key in names()}
    spelled["citycoarse"] = "cityscapes_coarse"
    key = spelled.get(text.lower().replace("_", "").replace("-", ""))
    if key is not None:
        return _from_catalog(key, tuple(sorted((k, str(v)) for k, v in options.items())))
    path = Path(text).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return Source(path.stem, read_spec(path, options), path.resolve().parent)
    if path.is_dir():
        facts = path / "classes.yaml"
        if not facts.is_file():
            raise UsageError(
                f"The folder {path} has no classes.yaml; write one with a list 'classes', beside "
                "the folders images/<split> and masks/<split>."
            )
        return Source(path.resolve().name, read_spec(facts, options), path.resolve())
    if "/" in text or "\\" in text:
        raise UsageError(f"There is no folder {text}; give a data set's name, folder or YAML file.")
    error = unknown("data set", text, names())
    raise UsageError(f"{error} For own data give the path of its folder or YAML file.")


@functools.lru_cache(maxsize=None)
def _from_catalog(name, options):
    return Source(name, read_spec(CATALOG / f"{name}.yaml", dict(options)), None)


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


def info(name, **options):
    """The :class:`Info` of a catalog entry, a YAML file or a folder."""
    source = find(name, **options)
    return describe(source.name, source.spec)
