"""Data sets: ``create`` one, ask for its length, take samples."""

import json
import os
from pathlib import Path

import cv2

from ..errors import MXNetSegError
from ..registry import check_options, unknown
from . import images, layout, masks, sources
from .content import ENDINGS
from .labels import describe
from .opencv import by_channels
from .sample import Sample
from .schema import Layout, SplitSpec
from .synthetic import Streets


class FileDataset:
    """Images and masks in files.

    Reading is thread-safe; the object can be pickled.

    Args:
        info: :class:`~mxnetseg.data.labels.Info`.
        split: name of the split.
        root: its root folder.

    Attributes:
        info, split, root: as given, ``info`` with the colours that the files define.
        pairs: list of :class:`~mxnetseg.data.layout.Pair`.
        names: the names of the samples.
        has_masks: whether the samples have masks.

    Raises:
        MXNetSegError: the folder is missing, the split is empty, or images have no mask.
    """

    def __init__(self, info, split, root):
        self.split, self.root = split, Path(root)
        check_root(info, self.root)
        self.info = info = with_config(info, self.root)
        layout.check_split(info, split, self.root)
        listing = layout.list_split(info, split, self.root)
        if listing.layout is None:
            layout.check_lists(info, split, self.root)
            remedy = info.spec.prepare or "unpack it there or choose another split."
            raise MXNetSegError(
                f"The split '{split}' of {info.title} is not in {self.root}; {remedy}\n"
                f"{layout.expected_tree(info, self.root, [split])}"
            )
        _raise_problems(listing.problems, info, split, len(listing.pairs))
        if not listing.pairs:
            raise MXNetSegError(
                f"The split '{split}' of {info.title} in {self.root} is empty; add images "
                f"({' '.join(ENDINGS)} .npy) or choose another split.\n"
                f"{layout.expected_tree(info, self.root, [split])}"
            )
        self.pairs = listing.pairs
        self.names = [pair.name for pair in self.pairs]
        self.has_masks = all(pair.mask is not None for pair in self.pairs)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        """Sample ``index``; :class:`~mxnetseg.data.content.DataError` names a bad file."""
        pair = self.pairs[index]
        facts = self.info.spec
        image = images.read_image(
            pair.image, facts.channels, facts.max_value, facts.truncated_images
        )
        if pair.mask is None:
            return Sample(image, None, pair.name)
        mask = masks.read_mask(pair.parts or pair.mask, self.info, pair.form)
        mask = masks.fitted(mask, image.shape, pair.mask, pair.image, facts.resize_masks)
        if facts.short_edge:
            image, mask = _resized(image, mask, facts.short_edge)
        return Sample(image, mask, pair.name)


def _resized(image, mask, short_edge):
    """Short edge to ``short_edge``, the other one to the nearest multiple of 8."""
    height, width = image.shape[:2]
    long_edge = int(max(height, width) * short_edge / min(height, width) + 0.5)
    long_edge = int(round(long_edge / 8) * 8)
    size = (long_edge, short_edge) if height < width else (short_edge, long_edge)
    how = cv2.INTER_AREA if short_edge < min(height, width) else cv2.INTER_LINEAR
    image = by_channels(lambda part: cv2.resize(part, size, interpolation=how), image)
    return image, cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)


def with_config(info, root):
    """``info`` with the colours of the JSON file that Mapillary Vistas comes with."""
    for inside in ("", *info.spec.inside):
        for name in info.spec.config:
            path = root / inside / name
            if os.path.isfile(path):
                return info.with_palette(_config_palette(info, path))
    return info


def _config_palette(info, path):
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        colors = [[int(v) for v in label["color"]] for label in labels]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MXNetSegError(
            f"{path} is not the configuration of {info.title} ({error}); restore it."
        ) from None
    expected = int(info.known.sum())
    if len(colors) != expected:
        raise MXNetSegError(
            f"{path} lists {len(colors)} labels, but {info.title} has {expected}: another version "
            "of the data set, with other label ids. Use the labels of this version."
        )
    return [colors[raw] for raw in info.inverse[: info.num_classes]]


def check_root(info, root):
    """MXNetSegError if the folder is missing; it shows the expected tree."""
    if os.path.isdir(root):
        return
    remedy = "give its folder with --data-root, or set MXNETSEG_DATA to the folder that holds it"
    raise MXNetSegError(
        f"The folder {root} of {info.title} does not exist; {remedy}.\n"
        f"{layout.expected_tree(info, root)}"
    )


def _raise_problems(problems, info, split, good):
    """All pairing problems of one kind at once."""
    if not problems:
        return
    kind = problems[0].kind
    same = [p for p in problems if p.kind == kind]
    shown = ", ".join(Path(p.file).name for p in same[:5]) + (" ..." if len(same) > 5 else "")
    if kind == "no mask" and not good and info.spec.prepare:
        raise MXNetSegError(
            f"No image of {info.title}, split '{split}', has a mask ({shown}); {info.spec.prepare}"
        )
    if len(same) == 1:
        raise same[0]
    text = {
        "no mask": "images have no mask",
        "missing": "listed images do not exist",
        "duplicate": "files exist twice under the same name",
        "list": "lines of the list are too short",
    }[kind]
    raise MXNetSegError(
        f"{len(same)} of {good + len(problems)} entries of {info.title}, split '{split}': {text} "
        f"({shown}). For example: {same[0]}"
    )


def resolve_root(source, info, root=None):
    """The root folder of a data set: the argument, the YAML's own, or the default place."""
    if root is not None:
        root = Path(root).expanduser()
        inside = [root / name for name in info.folders if os.path.isdir(root / name)]
        if source.home is None and inside:
            parts = [split for split, facts in info.splits.items() if not facts.concat]
            if not any(layout.find_layout(info, split, root) for split in parts):
                prepare = f" Or {info.spec.prepare}" if info.spec.prepare else ""
                raise MXNetSegError(
                    f"{root} does not look like {info.title}; the folder {inside[0]} may be meant."
                    + prepare
                )
        return root
    if source.home is None:
        return layout.default_root(info)
    if source.spec.root is not None:
        return source.home / Path(source.spec.root).expanduser()
    if source.spec.folder is not None:
        return layout.default_root(info)
    return source.home


def open_info(name, options):
    """The source and the :class:`~mxnetseg.data.labels.Info` of a data set of files.

    Args:
        options: those of its YAML, and ``list`` and ``form``, which every data set takes.
    """
    own = {key: value for key, value in options.items() if key not in sources.LISTS}
    source = sources.find(name, **own)
    facts, listed, form = source.spec, options.get("list"), options.get("form")
    if form is not None and form not in facts.forms:
        raise unknown(f"form of the labels of {facts.title or source.name}", form, facts.forms)
    if listed is not None:
        paths = {"": listed} if isinstance(listed, (str, Path)) else dict(listed)
        layouts = [
            Layout(
                name="list",
                image="{0}",
                mask="{1}",
                list=[os.path.abspath(os.path.expanduser(str(path))), str(path)],
                splits=[split] if split else None,
                form=form,
            )
            for split, path in paths.items()
        ]
        splits = {k: v.model_copy(update={"count": None}) for k, v in facts.splits.items()}
        for split in [s for s in paths if s] or ([] if splits else ["train", "val", "test"]):
            splits[split] = SplitSpec(labels=layout.labels_of(splits, split))
        facts = facts.model_copy(update={"layouts": layouts, "splits": splits})
    elif form is not None:
        layouts = [lay.model_copy(update={"form": form}) for lay in facts.layouts]
        facts = facts.model_copy(update={"layouts": layouts})
    return source, describe(source.name, facts)


def create(name, split, root=None, **options):
    """Create a data set.

    Args:
        name: an entry of the catalog (:func:`names`), the path of a YAML file of the same form,
            or of a folder with ``images/<split>``, ``masks/<split>`` and ``classes.yaml``.
        split: ``train``, ``val`` ...
        root: the folder that holds the files. Default: the YAML's ``root`` or its own folder for
            own data, ``$MXNETSEG_DATA/<Name>``, else ``datasets/<Name>`` for the catalog.
        **options: those that the data set's YAML declares (``info.spec.options``); for every
            data set of files besides

            * ``list``: a text file with an image and its mask per line, below the root or
              anywhere; ``{split}`` in its path stands for the split. Or a mapping split -> path.
            * ``form``: the form of the labels, where a data set has several.

            For ``synthetic``: ``size=(H, W)``, ``scenes``, ``seed``.

    Returns:
        A data set: ``len(ds)``, ``ds[i] -> Sample``, ``ds.info``, ``ds.names``.

    Raises:
        UsageError: unknown name, split or option; a wrong YAML.
        MXNetSegError: missing folder, empty split, images without mask.
    """
    drawn = sources.info(name)
    if drawn.spec.generator == "streets":
        check_options(f"data set {drawn.name}", Streets, options, exclude=("info", "split"))
        return Streets(drawn, split, **options)
    source, info = open_info(name, options)
    return FileDataset(info, split, resolve_root(source, info, root))
