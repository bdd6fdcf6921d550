"""Which files make up a split: patterns and list files of :class:`~mxnetseg.data.schema.Layout`."""

import hashlib
import os
import posixpath
import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..errors import MXNetSegError, UsageError
from ..registry import unknown
from . import matlab
from .content import ENDINGS, DataError
from .schema import Layout, SplitSpec

_PLACEHOLDER = re.compile(r"\{(\w+)(?::([\w|]+))?\}")
_ALL_ENDINGS = (*ENDINGS, ".npy", *(ending.upper() for ending in ENDINGS))
_HIDDEN = re.compile(r"(^|/)\.(?!\./)")


class Pair(NamedTuple):
    """An image and its mask.

    Attributes:
        image: path.
        mask: path; None: the split has no masks.
        name: the image's path below the root, with ``/``; of files beside the root the path below
            the folder that both share.
        form: the form of the labels, of ``info.labels``.
        parts: paths of all masks where an image has several, the first of which is ``mask``.
    """

    image: str
    mask: Optional[str]
    name: str
    form: str = ""
    parts: Tuple[str, ...] = ()


class Listing(NamedTuple):
    """The files of a split.

    Attributes:
        pairs: what belongs together, sorted by name (lists keep their order).
        problems: :class:`DataError` of what does not.
        surplus: paths of masks without an image.
        layout: the layout that was found, or None.
        excluded: how many images were left out because the data set says so.
    """

    pairs: List[Pair]
    problems: List[DataError]
    surplus: List[str]
    layout: Optional[Layout]
    excluded: int = 0


class Pattern:
    """A path with placeholders, to be found in a folder.

    Args:
        text: for instance ``images/{split}/{stem:path}.{ext}``, below the root.
        folder: the text for ``{split}``.
    """

    def __init__(self, text, folder):
        self.text = text.replace("{split}", folder)
        self.keys = [k for k, _ in _PLACEHOLDER.findall(self.text) if k != "ext"]
        # How many folders below the root the files are; None: at any depth.
        self.depth = None if ":path}" in self.text else self.text.count("/")
        first = self.text.find("{")
        self.base = self.text[: self.text.rfind("/", 0, first) + 1] if first >= 0 else ""
        regex, last = "", 0
        seen = set()
        for match in _PLACEHOLDER.finditer(self.text):
            key, how = match.groups()
            if not key.isidentifier():
                raise UsageError(
                    f"'{text}' has the placeholder '{match.group(0)}', which only stands for a "
                    "column of a list; name the 'list', or call it {stem}."
                )
            regex += re.escape(self.text[last : match.start()])
            last = match.end()
            if key == "ext":
                regex += "(?i:" + "|".join(e[1:] for e in (*ENDINGS, ".npy")) + ")"
            elif key in seen:
                regex += f"(?P={key})"
            else:
                seen.add(key)
                if how and "|" in how:
                    regex += f"(?P<{key}>{how})"
                else:  # no hidden files: .DS_Store, ._picture.png
                    regex += f"(?P<{key}>(?!\\.){'.+' if how else '[^/]+'})"
        self.regex = re.compile(regex + re.escape(self.text[last:]))

    def find(self, root):
        """Mapping path below ``root`` -> the text of the placeholders, sorted by path."""
        return dict(sorted(self.matches(root)))

    def matches(self, root):
        """The items of :meth:`find`, one by one."""
        top = os.path.join(root, self.base) if self.base else root
        for folder, folders, files in os.walk(top, followlinks=True):
            folders.sort()
            below = os.path.relpath(folder, root).replace(os.sep, "/")
            prefix = "" if below == "." else below + "/"
            if self.depth is not None and prefix.count("/") >= self.depth:
                folders.clear()
            for file in files:
                match = self.regex.fullmatch(prefix + file)
                if match and not _HIDDEN.search(prefix + file):
                    yield prefix + file, match.groupdict()

    def fill(self, texts):
        """The path for these texts of the placeholders."""
        return _PLACEHOLDER.sub(lambda match: texts.get(match.group(1), "png"), self.text)


def _example(text, folder):
    """A pattern for people: ``images/train/*.png``."""
    return _PLACEHOLDER.sub("*", text.replace("{split}", folder))


def split_folder(layout, split):
    """The text for ``{split}``."""
    return layout.folders.get(split, split)


class Found(NamedTuple):
    """Where a split lies: its layout, and the folder between the root and the files."""

    layout: Layout
    inside: str


def labels_of(splits, split):
    """``yes``, ``none`` or ``optional``, see :class:`~mxnetseg.data.schema.SplitSpec`."""
    return splits.get(split, SplitSpec(labels="optional" if split == "test" else "yes")).labels


def find_layout(info, split, root):
    """The first layout that fits, as :class:`Found`, or None.

    Layouts may share folders: one whose masks are there as well comes before one with images
    only, and that before an empty folder.
    """
    labelled = labels_of(info.splits, split) == "yes"
    best, found = 0, None
    for layout in info.spec.layouts:
        if layout.splits is not None and split not in layout.splits:
            continue
        for inside in ("", *info.spec.inside):
            base = os.path.join(str(root), inside)
            if os.path.isdir(base):
                rank = _fits(layout, split, base, info, labelled)
                if rank == 3:
                    return Found(layout, inside)
                if rank > best:
                    best, found = rank, Found(layout, inside)
    return found


def _fits(layout, split, root, info, labelled):
    """0: not there; 1: an empty folder; 2: images; 3: images and, if it has any, masks."""
    folder = split_folder(layout, split)
    if layout.list is None:
        pattern = Pattern(layout.image, folder)
        if not os.path.isdir(os.path.join(root, pattern.base)):
            return 0
        choose = _chooser(layout, split, info)
        images = (path for path, texts in pattern.matches(root) if choose is None or choose(texts))
        if next(images, None) is None:
            return 1 if pattern.base else 0
        if not labelled or layout.mask is None:
            return 3
        masks = Pattern(layout.mask, folder).matches(root)
        return 2 if next(masks, None) is None else 3
    path = _list_path(layout, folder, root)
    if path is None:
        return 0
    # Several layouts may share the name of the list: its first entries decide.
    entries = _entries(layout, split, path)[:5]
    if not any(_entry(layout, layout.image, folder, c, root, True) for _, c in entries):
        return 0
    if not labelled or layout.mask is None or layout.merge:
        return 3
    return 3 if any(_entry(layout, layout.mask, folder, c, root, True) for _, c in entries) else 2


def list_split(info, split, root):
    """Find the files of a split.

    Args:
        info: :class:`~mxnetseg.data.labels.Info`.
        split: its name.
        root: folder of the data set.

    Returns:
        Listing; problems are listed, not raised. ``layout`` is None if the split is not there.
    """
    spec = info.splits.get(split)
    if spec is not None and spec.concat and not _has_own_list(info, split, root):
        parts = [list_split(info, part, root) for part in spec.concat]
        layout = None if any(p.layout is None for p in parts) else parts[0].layout
        lists = (sum((p[k] for p in parts), []) for k in range(3))
        return Listing(*lists, layout, sum(p.excluded for p in parts))
    found = find_layout(info, split if spec is None or not spec.concat else spec.concat[0], root)
    if found is None:
        return Listing([], [], [], None)
    layout, inside = found
    base = os.path.join(str(root), inside) if inside else str(root)
    finder = _by_pattern if layout.list is None else _by_list
    listing = finder(info, layout, split, base)
    pairs = [
        pair._replace(
            name=_below(f"{inside}/{pair.name}" if inside else pair.name),
            form=layout.form or (info.form_of(pair.mask) if pair.mask else ""),
        )
        for pair in listing.pairs
    ]
    return listing._replace(pairs=pairs)


def _has_own_list(info, split, root):
    """Whether a split that is made of others has a list beside theirs (``trainval.txt``)."""
    found = find_layout(info, info.splits[split].concat[0], root)
    if found is None or found.layout.list is None or found.layout.without or found.layout.lines:
        return False
    layout, inside = found
    folder = split_folder(layout, split)
    listed = _list_path(layout, folder, os.path.join(str(root), inside))
    return (
        listed is not None
        and (layout.splits is None or split in layout.splits)
        and not listed.endswith(".mat")
    )


def _below(path):
    """A name that stays below any folder that it is joined to."""
    return re.sub(r"^(\.\./)+", "", path)


def _stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def _chooser(layout, split, info):
    """Whether the texts of an image's placeholders belong to ``split``, for ``frames``."""
    if layout.divide != "frames":
        return None
    ranges = info.spec.frames.get(split, [])

    def belongs(texts):
        name = texts["stem"]
        return any(len(name) == len(first) and first <= name <= last for first, last in ranges)

    return belongs


def _dealt(layout, split, info, images):
    """The images of ``split`` where all lie together."""
    choose = _chooser(layout, split, info)
    if choose is not None:
        return {path: texts for path, texts in images.items() if choose(texts)}
    if layout.divide is None:
        return images
    # By a hash of the name: the same for everybody, whatever else lies in the folder.
    order = sorted(images, key=lambda path: hashlib.sha1(_stem(path).encode()).digest())
    folds, fold = info.spec.folds, info.spec.fold % info.spec.folds
    there = {p for n, p in enumerate(order) if (n % folds == fold) == (split == "val")}
    return {path: texts for path, texts in images.items() if path in there}


def _by_pattern(info, layout, split, root):
    folder, labels = split_folder(layout, split), labels_of(info.splits, split)
    image_pattern = Pattern(layout.image, folder)
    everything = image_pattern.find(root)
    pattern = Pattern(layout.mask, folder) if layout.mask else None
    masks = pattern.find(root) if pattern and labels != "none" else {}
    if masks:  # {folder}/{stem}.png may mean a mask as well
        everything = {p: texts for p, texts in everything.items() if p not in masks}
    chosen = _dealt(layout, split, info, everything)
    left_out = {p for p in chosen if p in layout.exclude or _stem(p) in info.spec.exclude}
    images = {p: texts for p, texts in chosen.items() if p not in left_out}
    problems = _twins(images, image_pattern.keys, root, "image")
    unlabelled = [Pair(os.path.join(root, p), None, p) for p in images]
    if layout.mask is None or labels == "none":
        return Listing(unlabelled, problems, [], layout, len(left_out))
    if labels == "optional" and not masks:
        return Listing(unlabelled, problems, [], layout, len(left_out))
    problems += _twins(masks, pattern.keys, root, "mask")
    by_key = {_key(found, pattern): path for path, found in reversed(masks.items())}
    pairs = []
    for path, found in images.items():
        found = _shifted(found, layout.offset.get(split))
        mask = by_key.get(_key(found, pattern))
        if mask is None:
            wanted = os.path.join(root, pattern.fill(found))
            problems.append(_no_mask(os.path.join(root, path), wanted))
        else:
            pairs.append(Pair(os.path.join(root, path), os.path.join(root, mask), path))
    shared = "{split}" in layout.image and "{split}" not in layout.mask  # masks of all splits
    used = {
        _key(_shifted(found, layout.offset.get(split)), pattern) for found in everything.values()
    }
    surplus = [
        os.path.join(root, path)
        for path, found in masks.items()
        if not shared and _key(found, pattern) not in used
    ]
    return Listing(pairs, problems, surplus, layout, len(left_out))


def _key(texts, pattern):
    return tuple(texts[k] for k in pattern.keys)


def _shifted(texts, offset):
    """The texts of an image's mask, whose number differs."""
    if not offset or not texts["n"].isdigit():
        return texts
    return {**texts, "n": str(int(texts["n"]) + offset).zfill(len(texts["n"]))}


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


def _list_path(layout, folder, root):
    """The list file of a layout, or None."""
    for text in [layout.list] if isinstance(layout.list, str) else layout.list:
        path = os.path.join(root, text.replace("{split}", folder))
        if os.path.isfile(path):
            return path
    return None


def check_lists(info, split, root):
    """MXNetSegError if the list that a user named does not exist, or lists what does not."""
    for layout in info.spec.layouts:
        if layout.name == "list" and (layout.splits is None or split in layout.splits):
            folder = split_folder(layout, split)
            path = _list_path(layout, folder, root)
            if path is None:
                text = layout.list[-1].replace("{split}", folder)
                raise MXNetSegError(
                    f"The split '{split}' of {info.title} is not in {root}: the list {text} is "
                    "neither there nor here; correct data.options.list."
                )
            raise MXNetSegError(
                f"None of the first files in {path} exists below {root}; a line is 'image mask', "
                "below the data set's root or with the whole path."
            )


def _read_list(path):
    """The lines of a list file: (line number, columns)."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MXNetSegError(f"Cannot read the list {path}: {error}.") from None
    return [(n, line.split()) for n, line in enumerate(lines, 1) if line.strip()]


def _read_mat_list(path, variable, digits):
    """The numbers of an array in a MATLAB file as a list with one column."""
    try:
        numbers = matlab.read(Path(path).read_bytes())[variable].ravel()
        return [(n, [str(int(number)).zfill(digits)]) for n, number in enumerate(numbers, 1)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MXNetSegError(f"Cannot read {variable} of {path}: {error}.") from None


def _entries(layout, split, path):
    """The entries of a layout's list that belong to ``split``: (line number, columns)."""
    if path.endswith(".mat"):
        variable = (layout.variable or "{split}").replace("{split}", split_folder(layout, split))
        entries = _read_mat_list(path, variable, layout.digits)
    else:
        entries = _read_list(path)
    if split in layout.lines:
        first, last = layout.lines[split]
        entries = entries[first - 1 : last]
    if layout.without:
        other = os.path.join(os.path.dirname(path), layout.without)
        if not os.path.isfile(other):
            raise MXNetSegError(
                f"{path} is used without the entries of {other}, which does not exist; restore it."
            )
        left_out = {columns[0] for _, columns in _read_list(other)}
        entries = [entry for entry in entries if entry[1][0] not in left_out]
    return entries


def _columns(pattern):
    """How many columns a pattern of a list layout needs."""
    return max([int(k) + 1 for k, _ in _PLACEHOLDER.findall(pattern) if k.isdigit()], default=0)


def _entry(layout, pattern, folder, columns, root, must_exist=False):
    """The path below the root that a line of a list stands for.

    It may be one that does not exist; then None with ``must_exist``.
    """

    def fill(match):
        key, how = match.groups()
        if not key.isdigit():
            return folder if key == "split" else match.group(0)
        text = columns[int(key)] if int(key) < len(columns) else ""
        return os.path.splitext(text)[0] if how == "stem" else text

    path = posixpath.normpath(_PLACEHOLDER.sub(fill, pattern).replace("\\", "/"))
    if "{ext}" in path:
        path = _existing(root, [path.replace("{ext}", ending[1:]) for ending in _ALL_ENDINGS])
    if layout.keep_parts:
        path = "/".join([p for p in path.split("/") if p][-layout.keep_parts :])
    elif path.startswith("/"):
        # An absolute path of somebody else's machine: the longest end that exists here.
        parts = [p for p in path.split("/") if p]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        path = next((p for p in ends if os.path.exists(os.path.join(root, p))), "/".join(parts))
    if not os.path.isfile(os.path.join(root, path)):
        path = _existing(root, [path, *_with_other_ending(path)])
    if must_exist and not os.path.isfile(os.path.join(root, path)):
        return None
    return path


def _existing(root, paths):
    """The first of ``paths`` that is a file below ``root``, else the first."""
    return next((p for p in paths if os.path.isfile(os.path.join(root, p))), paths[0])


def _with_other_ending(path):
    """The path where a list holds file names instead of stems (``x.jpg.png``), or stems (``x``)."""
    stem, ending = os.path.splitext(path)
    inner = os.path.splitext(stem)
    if inner[1].lower() in ENDINGS:
        yield from (inner[0] + ending, stem)
    if ending.lower() not in _ALL_ENDINGS:
        yield from (path + ending for ending in _ALL_ENDINGS)


def _parts_by_stem(layout, folder, root):
    """For ``merge``: mapping image stem -> sorted paths of its masks below the root."""
    pattern = Pattern(layout.mask.replace("{0:stem}", "{stem}"), folder)
    parts: Dict[str, List[str]] = {}
    for path, texts in pattern.find(root).items():
        parts.setdefault(texts["stem"], []).append(path)
    return parts


def _by_list(info, layout, split, root):
    folder, labels = split_folder(layout, split), labels_of(info.splits, split)
    path = _list_path(layout, folder, root)
    parts = _parts_by_stem(layout, folder, root) if layout.merge else {}
    seen, excluded = set(), 0
    pairs, problems, unmasked = [], [], []
    for number, columns in _entries(layout, split, path):
        if len(columns) < _columns(layout.image):
            problems.append(
                DataError(path, "list", f"line {number} is too short", "give every column")
            )
            continue
        name = _entry(layout, layout.image, folder, columns, root)
        if name in layout.exclude or _stem(name) in info.spec.exclude:
            excluded += 1
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
        if layout.merge:
            found = [os.path.join(root, p) for p in parts.get(_stem(name), ())]
            if found:
                pairs.append(Pair(image, found[0], name, parts=tuple(found)))
                continue
        mask = os.path.join(root, _entry(layout, layout.mask, folder, columns, root))
        if os.path.isfile(mask):
            pairs.append(Pair(image, mask, name))
        else:
            problems.append(_no_mask(image, _PLACEHOLDER.sub("*", mask)))
    if labels == "optional" and not pairs:
        pairs, unmasked = [Pair(image, None, name) for _, image, name in unmasked], []
    for number, image, _ in unmasked:
        problems.append(
            DataError(
                image, "no mask", f"has no mask in line {number} of {path}", "add a second column"
            )
        )
    return Listing(pairs, problems, [], layout, excluded)


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
            text = layout.list if isinstance(layout.list, str) else layout.list[0]
            lines["  " + text.replace("{split}", folder)] = None
            if layout.keep_parts or paths[0] == "{0}":
                paths = []  # the list says where
        for path in paths:
            lines["  " + _example(path, folder)] = None
    return list(lines)


def default_root(info):
    """The folder of a catalog entry: in ``$MXNETSEG_DATA``, else in ``datasets``."""
    base = os.environ.get("MXNETSEG_DATA")
    checkout = Path(__file__).resolve().parents[2]
    homes = [Path(base).expanduser()] if base else [Path("datasets"), checkout / "datasets"]
    places = [home / folder for home in homes for folder in info.folders]
    return next((place for place in places if os.path.isdir(place)), places[0])
