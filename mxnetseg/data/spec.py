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

See :class:`DatasetSpec` and :class:`Layout` for every key.
"""

import difflib
import functools
from pathlib import Path
from typing import Dict, List, Literal, NamedTuple, Optional, Tuple, Union

import numpy as np
import pydantic
import yaml

from ..errors import UsageError
from ..registry import unknown
from .palette import voc_palette

IGNORE = 255
"""The value of ignored pixels in memory."""

UNKNOWN = 254
"""The value of a label that is neither a class nor ignored; it never leaves this package."""

CATALOG = Path(__file__).parent / "catalog"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Color = Tuple[int, int, int]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class ClassSpec(_Strict):
    """One class. In YAML a bare name is enough.

    Attributes:
        name: what it is called.
        raw: the label value(s) in the files; several are merged, the first one is written on
            export. Default: ``first_raw`` + the position in the list.
        color: RGB for pictures. Default: the VOC bit pattern.
        mask_colors: for colour-coded masks, the colours that mean this class. Default: ``color``.
    """

    name: str
    raw: Optional[Union[int, List[int]]] = None
    color: Optional[Color] = None
    mask_colors: Optional[List[Color]] = None


class SplitSpec(_Strict):
    """One split.

    Attributes:
        count: the expected number of images.
        labels: ``yes``; ``none``: the images have no masks, or masks that mean nothing;
            ``optional``: either every image has its mask or no image has one.
        concat: the splits that this one is made of, one after the other.
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
    ``{stem:path}`` may also cross folders, and ``{ext}`` is any usual image ending, not
    necessarily the same for image and mask. A mask belongs to the image with the same text in
    the placeholders that its pattern uses.

    With ``list``, a text file with an entry per line, ``{0}`` and ``{1}`` are the columns.

    Attributes:
        name: what to call this layout in messages.
        image: pattern of the images.
        mask: pattern of the masks; none: this layout has no masks.
        list: path of the list file; may use ``{split}``.
        keep_parts: how many of the last parts of a listed path count. Default: absolute paths
            are cut until the rest is found below the root.
        folders: the text for ``{split}`` where it is not the split's name.
        splits: the splits that exist in this layout. Default: all.
        exclude: image paths below the root that are left out.
    """

    name: str = ""
    image: str
    mask: Optional[str] = None
    list: Optional[str] = None
    keep_parts: Optional[int] = pydantic.Field(None, ge=1)
    folders: Dict[str, str] = {}
    splits: Optional[List[str]] = None
    exclude: List[str] = []


FOLDER_LAYOUT = Layout(
    name="folder",
    image="images/{split}/{stem:path}.{ext}",
    mask="masks/{split}/{stem:path}.{ext}",
)


class DatasetSpec(_Strict):
    """A data set.

    Attributes:
        title: its name for people.
        folder: its folder below ``$MXNETSEG_DATA`` or ``datasets``.
        root: its root folder, for a user's YAML; relative to the YAML file.
        classes: the classes in the order of their indices.
        first_raw: the label value of class 0, where ``raw`` is not given.
        ignore: the label values (for colour-coded masks: RGB triples) that are ignored.
            Default: 255, unless it is a class; for colour-coded masks none.
        unknown: what to do with a label that is neither: ``error`` or ``ignore``.
        encoding: ``index`` (grey or palette masks) or ``color`` (RGB masks).
        void_color: RGB for ignored pixels in pictures.
        mean, std: the normalisation of the images, on 0..1.
        scales: the scales of multi-scale evaluation (with flip).
        generator: ``streets`` for pictures that are drawn instead of read.
        splits: the splits; none: the folders that exist.
        layouts: the layouts; the first that exists wins.
        notes: remarks for people.
    """

    title: str = ""
    folder: Optional[str] = None
    root: Optional[str] = None
    classes: List[ClassSpec] = pydantic.Field(min_length=1, max_length=UNKNOWN)
    first_raw: int = 0
    ignore: Optional[List[Union[int, Color]]] = None
    unknown: Literal["error", "ignore"] = "error"
    encoding: Literal["index", "color"] = "index"
    void_color: Color = (0, 0, 0)
    mean: Tuple[float, float, float] = IMAGENET_MEAN
    std: Tuple[float, float, float] = IMAGENET_STD
    scales: List[float] = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]
    generator: Optional[Literal["streets"]] = None
    splits: Dict[str, SplitSpec] = {}
    layouts: List[Layout] = [FOLDER_LAYOUT]
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
        for color in self.ignore or ():
            if isinstance(color, int) != (self.encoding == "index"):
                kind = "label values" if self.encoding == "index" else "RGB triples"
                raise ValueError(f"'ignore' must hold {kind} because encoding is '{self.encoding}'")
        for layout in self.layouts:
            for split in layout.splits or ():
                if self.splits and split not in self.splits:
                    raise ValueError(f"a layout names '{split}', which is no split")
        return self


def _near(key, known):
    close = difflib.get_close_matches(str(key), known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}."


_KEYS = {"classes": ClassSpec, "splits": SplitSpec, "layouts": Layout}


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


def parse_spec(content, source):
    """A :class:`DatasetSpec` from the content of a YAML file; ``source`` names it in errors."""
    if not isinstance(content, dict):
        raise UsageError(f"{source} holds no keys; it needs at least a list 'classes'.")
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


def read_spec(path):
    """Read a catalog file or a user's YAML."""
    try:
        with open(str(path), encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{where} is not valid YAML; correct or quote that line.") from None
    return parse_spec(content, str(path))


def names():
    """The data sets of the catalog."""
    return sorted(path.stem for path in CATALOG.glob("*.yaml"))


class Source(NamedTuple):
    """A data set's facts and where they come from."""

    name: str
    spec: DatasetSpec
    home: Optional[Path]  # the folder that a relative root starts from; None: the catalog


def find(name):
    """The :class:`Source` called ``name``: a catalog entry, a YAML file, or a folder.

    Raises:
        UsageError: there is no such data set, or its YAML is wrong.
    """
    text = str(name)
    if text.lower() in names():
        return _from_catalog(text.lower())
    path = Path(text).expanduser()
    if path.suffix.lower() in (".yaml", ".yml"):
        return Source(path.stem, read_spec(path), path.resolve().parent)
    if path.is_dir():
        facts = path / "classes.yaml"
        if not facts.is_file():
            raise UsageError(
                f"The folder {path} has no classes.yaml; write one with a list 'classes', beside "
                "the folders images/<split> and masks/<split>."
            )
        return Source(path.resolve().name, read_spec(facts), path.resolve())
    if "/" in text or "\\" in text:
        raise UsageError(f"There is no folder {text}; give a data set's name, folder or YAML file.")
    raise unknown("data set", text, names())


@functools.lru_cache(maxsize=None)
def _from_catalog(name):
    return Source(name, read_spec(CATALOG / f"{name}.yaml"), None)


class Info:
    """What the rest of the toolkit knows about a data set. Everything is read-only.

    Attributes:
        name: the key, for instance ``cityscapes``.
        title: the name for people.
        folder: the name of its folder.
        classes: tuple of the class names.
        num_classes: their number.
        palette: uint8 (num_classes, 3), RGB.
        void_color: RGB of ignored pixels.
        ignore_label: 255.
        lut: uint8 (256,), label value in the file -> class, or 255.
        known: bool (256,), whether a label value is a class or ignored.
        inverse: uint8 (256,), class -> label value in the file; what is no class becomes the
            first ignored value.
        encoding: ``index`` or ``color``.
        mean, std: normalisation, on 0..1, RGB.
        scales: scales of multi-scale evaluation.
        splits: mapping split -> :class:`SplitSpec`; empty for a folder, where the folders count.
    """

    def __init__(self, name, spec):
        self.name = name
        self.title = spec.title or name
        self.folder = spec.folder or name
        self.spec = spec
        self.classes = tuple(c.name for c in spec.classes)
        self.num_classes = len(self.classes)
        generated = voc_palette(self.num_classes, first=1)
        self.palette = np.array(
            [c.color or generated[i] for i, c in enumerate(spec.classes)], np.uint8
        )
        self.void_color = tuple(spec.void_color)
        self.ignore_label = IGNORE
        self.encoding = spec.encoding
        self.mean, self.std = tuple(spec.mean), tuple(spec.std)
        self.scales = tuple(spec.scales)
        self.splits = dict(spec.splits)
        self.table = self._index_table(spec)
        self.known = self.table != UNKNOWN
        self.lut = np.where(self.known, self.table, IGNORE).astype(np.uint8)
        self.inverse = self._inverse(spec)
        self.colors = self._color_table(spec) if spec.encoding == "color" else None
        for array in (self.palette, self.known, self.lut, self.inverse, self.table):
            array.setflags(write=False)

    def _raw(self, index, entry):
        """The label values of a class."""
        if entry.raw is None:
            return [self.spec.first_raw + index]
        return entry.raw if isinstance(entry.raw, list) else [entry.raw]

    def _index_table(self, spec):
        """Label value -> class, IGNORE or UNKNOWN."""
        table = np.full(256, IGNORE if spec.unknown == "ignore" else UNKNOWN, np.uint8)
        if spec.encoding == "color":
            return table
        taken = {}
        for index, entry in enumerate(spec.classes):
            for raw in self._raw(index, entry):
                self._check_raw(raw, entry.name, taken)
                table[raw] = index
        if spec.ignore is None and IGNORE not in taken:
            table[IGNORE] = IGNORE
        for raw in spec.ignore or ():
            self._check_raw(raw, "ignore", taken)
            table[raw] = IGNORE
        return table

    def _check_raw(self, raw, name, taken):
        if not 0 <= raw <= 255:
            raise UsageError(f"{self.title}: the label value {raw} of '{name}' is not in 0..255.")
        if raw in taken:
            raise UsageError(
                f"{self.title}: the label value {raw} stands for '{taken[raw]}' and for '{name}'; "
                "give each value one meaning."
            )
        taken[raw] = name

    def _inverse(self, spec):
        ignored = [raw for raw in spec.ignore or () if isinstance(raw, int)]
        inverse = np.full(256, ignored[0] if ignored else IGNORE, np.uint8)
        for index, entry in enumerate(spec.classes):
            inverse[index] = index if spec.encoding == "color" else self._raw(index, entry)[0]
        return inverse

    def _color_table(self, spec):
        """Packed RGB -> class or IGNORE, as a dict."""
        table = {}
        for index, entry in enumerate(spec.classes):
            for color in entry.mask_colors or [tuple(self.palette[index])]:
                packed = pack(color)
                if packed in table:
                    raise UsageError(
                        f"{self.title}: the colour {tuple(int(c) for c in color)} of "
                        f"'{entry.name}' stands for two classes; give each colour one meaning."
                    )
                table[packed] = index
        for color in spec.ignore or ():
            table[pack(color)] = IGNORE
        return table

    def allowed(self):
        """The allowed label values in words, for error messages."""
        if self.encoding == "color":
            return f"the {len(self.colors)} colours of {self.title}"
        classes = _ranges(np.flatnonzero(self.known & (self.lut != IGNORE)))
        ignored = _ranges(np.flatnonzero(self.known & (self.lut == IGNORE)))
        return f"classes {classes}" + (f", ignored {ignored}" if ignored else "")


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


def info(name):
    """The :class:`Info` of a catalog entry, a YAML file or a folder."""
    source = find(name)
    return Info(source.name, source.spec)
