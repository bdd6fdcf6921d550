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
from typing import Any, Dict, List, Literal, Optional, Tuple, Union

import pydantic

UNKNOWN = 254
"""The value of a label that is neither a class nor ignored; it never leaves this package."""

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
        partial: the list leaves out some of what is there, on purpose.
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
    partial: bool = False


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
        resize_masks: masks may have another size than their image, if the shape of the frame is the
            same: they are resized to it (nearest).
        truncated_images: images may end too early, as distributed: they are decoded as far as they
            go. Else that is an error.
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
    resize_masks: bool = False
    truncated_images: bool = False
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
                raise ValueError(f"there is no class '{name}'; {near(name, names)}")
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


def near(key, known):
    """The end of an error about ``key``: what may have been meant, else all that is known."""
    close = difflib.get_close_matches(str(key), known, n=2, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}."
