"""Which files make up a split: patterns and list files of :class:`~mxnetseg.data.spec.Layout`."""

import os
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from ..errors import MXNetSegError, UsageError
from ..registry import unknown
from .files import ENDINGS, DataError
from .spec import SplitSpec

_PLACEHOLDER = re.compile(r"\{(\w+)(?::(path))?\}")


class Pair(NamedTuple):
    """An image, its mask (None: the split has none) and the image's path below the root."""

    image: str
    mask: Optional[str]
    name: str


class Listing(NamedTuple):
    """The files of a split.

    Attributes:
        pairs: what belongs together, sorted by name (lists keep their order).
        problems: :class:`DataError` of what does not.
        surplus: paths of masks without an image.
        layout: the layout that was found, or None.
    """

    pairs: List[Pair]
    problems: List[DataError]
    surplus: List[str]
    layout: object


class Pattern:
    """A path with placeholders, to be found in a folder.

    Args:
        text: for instance ``images/{split}/{stem:path}.{ext}``, below the root.
        folder: the text for ``{split}``.
    """

    def __init__(self, text, folder):
        self.text = text.replace("{split}", folder)
        self.keys = [k for k, _ in _PLACEHOLDER.findall(self.text) if k != "ext"]
        first = self.text.find("{")
        self.base = self.text[: self.text.rfind("/", 0, first) + 1] if first >= 0 else ""
        regex, last = "", 0
        seen = set()
        for match in _PLACEHOLDER.finditer(self.text):
            key, crosses = match.groups()
            regex += re.escape(self.text[last : match.start()])
            last = match.end()
            if key == "ext":
                regex += "(?i:" + "|".join(e[1:] for e in ENDINGS) + ")"
            elif key in seen:
                regex += f"(?P={key})"
            else:
                seen.add(key)
                # No hidden files: .DS_Store, ._picture.png
                regex += f"(?P<{key}>(?!\\.){'.+' if crosses else '[^/]+'})"
        self.regex = re.compile(regex + re.escape(self.text[last:]))

    def find(self, root):
        """Mapping path below ``root`` -> the text of the placeholders, sorted by path."""
        found = {}
        top = os.path.join(root, self.base) if self.base else root
        for folder, folders, files in os.walk(top, followlinks=True):
            folders.sort()
            below = os.path.relpath(folder, root).replace(os.sep, "/")
            prefix = "" if below == "." else below + "/"
            for file in files:
                match = self.regex.fullmatch(prefix + file)
                if match and "/." not in "/" + prefix + file:
                    found[prefix + file] = match.groupdict()
        return dict(sorted(found.items()))

    def fill(self, texts):
        """The path for these texts of the placeholders."""
        return _PLACEHOLDER.sub(lambda match: texts.get(match.group(1), "png"), self.text)


def _example(text, folder):
    """A pattern for people: ``images/train/*.png``."""
    return _PLACEHOLDER.sub("*", text.replace("{split}", folder))


def split_folder(layout, split):
    """The text for ``{split}``."""
    return layout.folders.get(split, split)


def applies(layout, split, root):
    """Whether the files of ``split`` are laid out like this below ``root``."""
    if layout.splits is not None and split not in layout.splits:
        return False
    folder = split_folder(layout, split)
    if layout.list is None:
        return os.path.isdir(os.path.join(root, Pattern(layout.image, folder).base))
    path = os.path.join(root, layout.list.replace("{split}", folder))
    if not os.path.isfile(path):
        return False
    # Several layouts may share the name of the list: its first entries decide.
    entries = _read_list(path)[:5]
    return any(
        os.path.isfile(os.path.join(root, _entry(layout, layout.image, folder, columns, root)))
        for _, columns in entries
    )


def list_split(info, split, root):
    """Find the files of a split.

    Args:
        info: :class:`~mxnetseg.data.spec.Info`.
        split: its name.
        root: folder of the data set.

    Returns:
        Listing; problems are listed, not raised. ``layout`` is None if the split is not there.
    """
    spec = info.spec.splits.get(split, SplitSpec(labels="optional" if split == "test" else "yes"))
    if spec.concat:
        parts = [list_split(info, part, root) for part in spec.concat]
        layout = None if any(p.layout is None for p in parts) else parts[0].layout
        return Listing(*(sum((p[k] for p in parts), []) for k in range(3)), layout)
    for layout in info.spec.layouts:
        if applies(layout, split, root):
            break
    else:
        return Listing([], [], [], None)
    folder = split_folder(layout, split)
    finder = _by_pattern if layout.list is None else _by_list
    return finder(layout, folder, spec.labels, str(root))


def _by_pattern(layout, folder, labels, root):
    image_pattern = Pattern(layout.image, folder)
    excluded = set(layout.exclude)
    images = {p: k for p, k in image_pattern.find(root).items() if p not in excluded}
    problems = _twins(images, image_pattern.keys, root, "image")
    if layout.mask is None or labels == "none":
        return Listing([Pair(os.path.join(root, p), None, p) for p in images], problems, [], layout)
    pattern = Pattern(layout.mask, folder)
    masks = pattern.find(root)
    if labels == "optional" and not masks:
        return Listing([Pair(os.path.join(root, p), None, p) for p in images], problems, [], layout)
    problems += _twins(masks, pattern.keys, root, "mask")
    by_key = {
        tuple(found[k] for k in pattern.keys): path for path, found in reversed(masks.items())
    }
    pairs, used = [], set()
    for path, found in images.items():
        key = tuple(found[k] for k in pattern.keys)
        mask = by_key.get(key)
        if mask is None:
            wanted = os.path.join(root, pattern.fill(found))
            problems.append(_no_mask(os.path.join(root, path), wanted))
        else:
            pairs.append(Pair(os.path.join(root, path), os.path.join(root, mask), path))
        used.add(key)
    surplus = [
        os.path.join(root, path)
        for path, found in masks.items()
        if tuple(found[k] for k in pattern.keys) not in used
    ]
    return Listing(pairs, problems, surplus, layout)


def _twins(found, keys, root, what):
    """Files that differ in their ending only."""
    problems, seen = [], {}
    for path, texts in found.items():
        key = tuple(texts[k] for k in keys)
        if key in seen:
            problems.append(
                DataError(
                    os.path.join(root, path),
                    "duplicate",
                    f"and {os.path.basename(seen[key])} are the same {what} by name",
                    "remove one",
                )
            )
        seen[key] = path
    return problems


def _no_mask(image, mask):
    return DataError(image, "no mask", f"has no mask {mask}", "add the mask or remove the image")


def _read_list(path):
    """The lines of a list file: (line number, columns)."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MXNetSegError(f"Cannot read the list {path}: {error}.") from None
    return [(n, line.split()) for n, line in enumerate(lines, 1) if line.strip()]


def _columns(pattern):
    """How many columns a pattern of a list layout needs."""
    return max([int(k) + 1 for k, _ in _PLACEHOLDER.findall(pattern) if k.isdigit()], default=0)


def _entry(layout, pattern, folder, columns, root):
    """The path below the root that a line of a list stands for; may be one that does not exist."""

    def fill(match):
        key = match.group(1)
        return folder if key == "split" else columns[int(key)] if int(key) < len(columns) else ""

    path = _PLACEHOLDER.sub(fill, pattern).replace("\\", "/")
    if layout.keep_parts:
        return "/".join([p for p in path.split("/") if p][-layout.keep_parts :])
    if not path.startswith("/"):
        return path
    # An absolute path of somebody else's machine: the longest end that exists here.
    parts = [p for p in path.split("/") if p]
    for start in range(len(parts)):
        if os.path.exists(os.path.join(root, *parts[start:])):
            return "/".join(parts[start:])
    return "/".join(parts)


def _by_list(layout, folder, labels, root):
    path = os.path.join(root, layout.list.replace("{split}", folder))
    excluded, seen = set(layout.exclude), set()
    pairs, problems, unmasked = [], [], []
    for number, columns in _read_list(path):
        if len(columns) < _columns(layout.image):
            problems.append(
                DataError(path, "list", f"line {number} is too short", "give every column")
            )
            continue
        name = _entry(layout, layout.image, folder, columns, root)
        if name in excluded:
            continue
        image = os.path.join(root, name)
        if name in seen:
            problems.append(
                DataError(path, "duplicate", f"line {number} lists {name} again", "remove the line")
            )
        seen.add(name)
        if not os.path.isfile(image):
            problems.append(
                DataError(
                    image,
                    "missing",
                    f"does not exist, but line {number} of {path} lists it",
                    "restore the image or remove the line",
                )
            )
            continue
        if layout.mask is None or labels == "none":
            pairs.append(Pair(image, None, name))
            continue
        if len(columns) < _columns(layout.mask):
            unmasked.append((number, image, name))
            continue
        mask = os.path.join(root, _entry(layout, layout.mask, folder, columns, root))
        if os.path.isfile(mask):
            pairs.append(Pair(image, mask, name))
        else:
            problems.append(_no_mask(image, mask))
    if labels == "optional" and not pairs:
        pairs, unmasked = [Pair(image, None, name) for _, image, name in unmasked], []
    for number, image, _ in unmasked:
        problems.append(
            DataError(
                image, "no mask", f"has no mask in line {number} of {path}", "add a second column"
            )
        )
    return Listing(pairs, problems, [], layout)


def known_splits(info, root):
    """The splits of a data set: declared ones, or for a folder the folders below ``images``."""
    if info.splits:
        return list(info.splits)
    names = set()
    for layout in info.spec.layouts:
        before, marker, _ = layout.image.partition("{split}")
        top = os.path.join(root, before)
        if marker and layout.list is None and before.endswith("/") and os.path.isdir(top):
            names.update(
                n for n in os.listdir(top) if os.path.isdir(os.path.join(top, n)) and n[0] != "."
            )
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(names, key=lambda n: (order.get(n, 3), n))


def check_split(info, split, root):
    """UsageError if the data set has no split of this name."""
    known = known_splits(info, root)
    if split not in known:
        if known:
            raise unknown(f"split of {info.title}", split, known)
        raise UsageError(f"{info.title} has no split '{split}'.\n{expected_tree(info, root)}")


def expected_tree(info, root, splits=None):
    """The folders that a data set should have, for error messages: several lines."""
    lines = ["Expected below " + str(root) + ":"]
    splits = splits or [s for s, spec in info.splits.items() if not spec.concat] or ["train", "val"]
    parts = []
    for split in splits:
        spec = info.splits.get(split, SplitSpec())
        parts += [p for p in spec.concat or [split] if p not in parts]
    blocks = [(layout, _layout_tree(layout, info.splits, parts)) for layout in info.spec.layouts]
    blocks = [(layout, block) for layout, block in blocks if block]
    blocks.sort(key=lambda block: block[0].list is not None)  # folders are clearer than lists
    for number, (layout, block) in enumerate(blocks):
        if number:
            lines.append(f"or ({layout.name}):" if layout.name else "or:")
        lines += block
    return "\n".join(lines)


def _layout_tree(layout, specs, splits) -> List[str]:
    lines: Dict[str, None] = {}  # an ordered set
    for split in splits:
        if layout.splits is not None and split not in layout.splits:
            continue
        folder = split_folder(layout, split)
        paths = [layout.image]
        if layout.mask and specs.get(split, SplitSpec()).labels == "yes":
            paths.append(layout.mask)
        if layout.list is not None:
            lines["  " + layout.list.replace("{split}", folder)] = None
            if layout.keep_parts or paths[0] == "{0}":
                paths = []  # the list says where
        for path in paths:
            lines["  " + _example(path, folder)] = None
    return list(lines)


def default_root(info):
    """The folder of a catalog entry: in ``$MXNETSEG_DATA``, else in ``datasets``."""
    base = os.environ.get("MXNETSEG_DATA")
    if base:
        return Path(base).expanduser() / info.folder
    here = Path("datasets") / info.folder
    checkout = Path(__file__).resolve().parents[2] / "datasets" / info.folder
    return here if here.is_dir() or not checkout.is_dir() else checkout
