"""What a listing passes over: masks that no list names, and images of the same name."""

import collections
import os
import re

from .content import DataError


def _stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def same_names(listing):
    """A :class:`DataError` if images of a split differ in their folder or ending only, or None.

    Predictions keep the folders; what goes to a test server often has none, and there one image's
    result would take the other's place.
    """
    reported = {_stem(p.file) for p in listing.problems if p.kind == "duplicate"}
    by_stem = collections.defaultdict(list)
    for pair in listing.pairs:
        if _stem(pair.name) not in reported:
            by_stem[_stem(pair.name)].append(pair)
    twins = [pairs for pairs in by_stem.values() if len(pairs) > 1]
    if not twins:
        return None
    first, second = twins[0][:2]
    others = f", and {len(twins) - 1} more names come twice" if len(twins) > 1 else ""
    return DataError(
        second.image,
        "same name",
        f"has the same name as {first.name}{others}",
        "rename it, or results without folders (a submission) will hold one for both",
    )


def unlisted_masks(info, listings):
    """Masks beside the listed ones that no list names: a :class:`DataError` for each folder.

    Args:
        info: :class:`~mxnetseg.data.labels.Info`.
        listings: mapping split -> :class:`~mxnetseg.data.layout.Listing`, of all splits: they may
            share a folder of masks.

    Yields:
        The split that uses the folder first, and the error.
    """
    listed, known, split_of = collections.defaultdict(set), set(info.spec.exclude), {}
    for split, listing in listings.items():
        known.update(_stem(problem.file) for problem in listing.problems)
        known.update(_stem(path) for path in listing.layout.exclude)
        for pair in listing.pairs:
            if pair.mask is None:
                continue
            folder, name = os.path.split(pair.mask)
            listed[folder].add(name)
            if _tells_all(listing.layout):
                split_of.setdefault(folder, split)
    for folder, split in split_of.items():
        end = _common_end(listed[folder])
        found = sorted(n for n in os.listdir(folder) if n.endswith(end) and n[0] != ".")
        strays = [n for n in found if n not in listed[folder] and n[: -len(end)] not in known]
        if strays:
            number = "a mask" if len(strays) == 1 else f"{len(strays)} masks"
            shown = ", ".join(strays[:3]) + (" ..." if len(strays) > 3 else "")
            yield (
                split,
                DataError(
                    folder,
                    "unlisted mask",
                    f"holds {number} that no list names ({shown})",
                    "add them to a list with their images, or remove them",
                ),
            )


def _tells_all(layout):
    """Whether a layout's list should name all that is there; a user's list often chooses."""
    return layout.list is not None and not (layout.merge or layout.partial or layout.name == "list")


def _common_end(names):
    """The end that all names have in common, as far as it is no part of an image's own name.

    "x_01_L.png", "x_21_L.png" -> "_L.png"; other files of the folder have another end.
    """
    end = os.path.commonprefix([name[::-1] for name in names])[::-1]
    parts = re.split(r"(?=[_.])", end)[1:]  # what stands before the first mark may be cut
    while len(parts) > 1 and any(c.isdigit() for c in parts[0]):
        parts.pop(0)
    return "".join(parts) or os.path.splitext(next(iter(names)))[1]
