"""Data sets: ``create`` one, ask for its length, take samples."""

from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from ..errors import MXNetSegError, UsageError
from ..registry import check_options
from . import files, layout, spec


class Sample(NamedTuple):
    """An image with its mask.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        mask: uint8 (H, W), classes, 255 = ignored; None where the split has no labels.
        name: the path of the image below the root, with ``/``.
    """

    image: np.ndarray
    mask: Optional[np.ndarray]
    name: str


class FileDataset:
    """Images and masks in files.

    Reading is thread-safe; the object can be pickled.

    Args:
        info: :class:`~mxnetseg.data.spec.Info`.
        split: name of the split.
        root: its root folder.

    Attributes:
        info, split, root: as given.
        pairs: list of :class:`~mxnetseg.data.layout.Pair`.
        names: the names of the samples.
        has_masks: whether the samples have masks.

    Raises:
        MXNetSegError: the folder is missing, the split is empty, or images have no mask.
    """

    def __init__(self, info, split, root):
        self.info, self.split, self.root = info, split, Path(root)
        check_root(info, self.root)
        layout.check_split(info, split, self.root)
        listing = layout.list_split(info, split, self.root)
        if listing.layout is None:
            raise MXNetSegError(
                f"The split '{split}' of {info.title} is not in {self.root}; unpack it there or "
                f"choose another split.\n{layout.expected_tree(info, self.root, [split])}"
            )
        _raise_problems(listing.problems, info, split, len(listing.pairs))
        if not listing.pairs:
            raise MXNetSegError(
                f"The split '{split}' of {info.title} in {self.root} is empty; add images or "
                f"choose another split.\n{layout.expected_tree(info, self.root, [split])}"
            )
        self.pairs = listing.pairs
        self.names = [pair.name for pair in self.pairs]
        self.has_masks = all(pair.mask is not None for pair in self.pairs)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        """Sample ``index``; :class:`~mxnetseg.data.files.DataError` names a bad file."""
        pair = self.pairs[index]
        image = files.read_image(pair.image)
        if pair.mask is None:
            return Sample(image, None, pair.name)
        mask = files.read_mask(pair.mask, self.info)
        files.check_sizes(pair.image, image.shape, pair.mask, mask.shape)
        return Sample(image, mask, pair.name)


def check_root(info, root):
    """MXNetSegError if the folder is missing; it shows the expected tree."""
    if root.is_dir():
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
    if len(same) == 1:
        raise same[0]
    text = {
        "no mask": "images have no mask",
        "missing": "listed images do not exist",
        "duplicate": "files exist twice under the same name",
        "list": "lines of the list are too short",
    }[kind]
    shown = ", ".join(Path(p.file).name for p in same[:5]) + (" ..." if len(same) > 5 else "")
    raise MXNetSegError(
        f"{len(same)} of {good + len(problems)} entries of {info.title}, split '{split}': {text} "
        f"({shown}). For example: {same[0]}"
    )


def resolve_root(source, info, root=None):
    """The root folder of a data set: the argument, the YAML's own, or the default place."""
    if root is not None:
        root = Path(root).expanduser()
        inside = root / info.folder
        if source.home is None and inside.is_dir():
            found = any(
                layout.applies(lay, split, root)
                for lay in info.spec.layouts
                for split in info.splits
            )
            if not found:
                raise MXNetSegError(
                    f"{root} does not look like {info.title}; the folder {inside} may be meant."
                )
        return root
    if source.home is None:
        return layout.default_root(info)
    if source.spec.root is not None:
        return source.home / Path(source.spec.root).expanduser()
    if source.spec.folder is not None:
        return layout.default_root(info)
    return source.home


def create(name, split, root=None, **options):
    """Create a data set.

    Args:
        name: an entry of the catalog (:func:`names`), the path of a YAML file of the same form,
            or of a folder with ``images/<split>``, ``masks/<split>`` and ``classes.yaml``.
        split: ``train``, ``val`` ...
        root: the folder that holds the files. Default: the YAML's ``root`` or its own folder for
            own data, ``$MXNETSEG_DATA/<Name>``, else ``datasets/<Name>`` for the catalog.
        **options: for ``synthetic``: ``size=(H, W)``, ``scenes``, ``seed``.

    Returns:
        A data set: ``len(ds)``, ``ds[i] -> Sample``, ``ds.info``, ``ds.names``.

    Raises:
        UsageError: unknown name, split or option; a wrong YAML.
        MXNetSegError: missing folder, empty split, images without mask.
    """
    source = spec.find(name)
    info = spec.Info(source.name, source.spec)
    if info.spec.generator == "streets":
        from .synthetic import Streets

        check_options(f"data set {info.name}", Streets, options, exclude=("info", "split"))
        return Streets(info, split, **options)
    if options:
        raise UsageError(f"The data set {info.name} takes no option '{sorted(options)[0]}'.")
    return FileDataset(info, split, resolve_root(source, info, root))
