"""Class maps that lie in files: which file belongs to an image, and what its values mean."""

import os
from pathlib import Path, PurePosixPath

import numpy as np

from ..data import masks
from ..data.content import ENDINGS, DataError
from ..description import IGNORE
from ..errors import MXNetSegError, UsageError

VALUES = {
    "classes": "class indices; 255 is none",
    "raw": "the label values of the data set's own files",
    "color": "the colours of the classes",
}
LOOKED_AT = 40  # maps, spread over all, that tell what their values mean


class LabelMaps:
    """The label maps of a folder.

    What ``eval``, ``predict``, semseg, SANet and PMSDSEN write is found: by the path of the image,
    or by a name that is the image's or its mask's up to a dot, ``_gtFine_labelIds`` and the like.

    Args:
        folder: of PNGs; with a sub-folder ``labels`` that is meant.
        info: :class:`~mxnetseg.data.Info` of the data set.
        values: of :data:`VALUES`; None: found out by :meth:`tell`.

    Raises:
        UsageError: there is no such folder, or nothing in it.
    """

    def __init__(self, folder, info, values=None):
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise UsageError(f"The folder {root} does not exist.")
        self.folder = root / "labels" if (root / "labels").is_dir() else root
        self.info, self.values = info, values
        self.files = {}  # path without ending, with "/": path
        for path in sorted(self.folder.rglob("*")):
            if path.suffix.lower() in (*ENDINGS, ".npy") and path.is_file():
                self.files[path.relative_to(self.folder).with_suffix("").as_posix()] = path
        if not self.files:
            raise UsageError(f"The folder {self.folder} holds no pictures.")
        self._stems = {}
        for name, path in self.files.items():
            self._stems.setdefault(PurePosixPath(name).name, []).append(path)

    # --- files --------------------------------------------------------------------------------

    def find(self, name, mask=None):
        """The file for an image, or None.

        Args:
            name: of the sample. mask: path of its mask, where that is a file.

        Raises:
            MXNetSegError: there are several.
        """
        path = self.files.get(str(PurePosixPath(name).with_suffix("")))
        if path is not None:
            return path
        stem = PurePosixPath(name).stem
        stems = [stem, stem.partition(".")[0]]
        if mask is not None:
            of_mask = PurePosixPath(str(mask).replace(os.sep, "/")).stem
            stems.append(of_mask)
        for candidate in stems:
            if candidate in self._stems:
                return self._only(name, self._stems[candidate])
        if mask is not None:
            # a_leftImg8bit, a_gtFine_labelIds -> a, which stands before whatever comes
            common = os.path.commonprefix([stem, of_mask]).rstrip("_-.")
            if any(c.isdigit() for c in common) and _begins(stem, common):
                stems.append(common)
        for candidate in stems:
            found = [p for s, paths in self._stems.items() if _begins(s, candidate) for p in paths]
            if found:
                return self._only(name, found)
        return None

    def _only(self, name, paths):
        if len(paths) > 1:
            raise MXNetSegError(
                f"{paths[0]} and {paths[1]} may both be the label map of {name}: keep one of them."
            )
        return paths[0]

    def pair(self, dataset, names=None):
        """{name of a sample: its file}; MXNetSegError if one has none.

        Args:
            names: of the samples; None: of all.
        """
        pairs = getattr(dataset, "pairs", None) or [None] * len(dataset)
        found = {
            name: self.find(name, pair and pair.mask)
            for name, pair in zip(dataset.names, pairs)
            if names is None or name in names
        }
        missing = [name for name, path in found.items() if path is None]
        if missing:
            raise MXNetSegError(
                f"{self.folder} holds no label map for {len(missing)} of {len(found)} images of "
                f"the split '{dataset.split}', for example {missing[0]}. Give another --split, or "
                "a share of it with --index."
            )
        return found

    # --- values -------------------------------------------------------------------------------

    def tell(self, paths, truth=None):
        """Find out what the values mean, unless it was given.

        Args:
            paths: files, in any order.
            truth: function that gives the mask of paths[k]: it decides where class indices and
                label values are both possible.

        Raises:
            UsageError: it cannot be told.
            MXNetSegError: the values mean nothing in this data set.
        """
        if self.values is not None:
            return
        some = range(0, len(paths), -(-len(paths) // LOOKED_AT))
        maps = [masks.read_labels(paths[k], self.info.labels[""]) for k in some]
        if any(m.ndim == 3 for m in maps):
            self.values = "color"
            return
        possible = [v for v in ("classes", "raw") if all(self._possible(m, v) for m in maps)]
        meanings = [[self._classes(m, v) for m in maps] for v in possible]
        if len(possible) == 2 and all((a == b).all() for a, b in zip(*meanings)):
            possible = possible[:1]
        if not possible:
            values = sorted({int(v) for m in maps for v in np.unique(m)})
            raise MXNetSegError(
                f"The values in {self.folder} are neither classes of {self.info.title} "
                f"(0-{self.info.num_classes - 1}) nor its label values: "
                f"{', '.join(map(str, values[:12]))}{' ...' if len(values) > 12 else ''}."
            )
        if len(possible) == 2:
            possible = [possible[self._better(meanings, [truth and truth(k) for k in some])]]
        self.values = possible[0]

    def _better(self, meanings, truths):
        """The index of the meaning that agrees with the truth more often."""
        right = []
        for maps in meanings:
            pairs = [(m, t) for m, t in zip(maps, truths) if t is not None and t.shape == m.shape]
            right.append(sum(int(((m == t) & (t != IGNORE)).sum()) for m, t in pairs))
        if right[0] == right[1]:
            raise UsageError(
                f"The values in {self.folder} may be class indices or the label values of "
                f"{self.info.title}: say which with --values classes or --values raw."
            )
        return int(right[1] > right[0])

    def _possible(self, labels, values):
        if labels.ndim != 2:
            return False
        if values == "raw":
            return bool(self.info.labels[""].known[np.unique(labels)].all())
        found = np.unique(labels[labels != IGNORE])
        return not len(found) or int(found[-1]) < self.info.num_classes

    def _classes(self, labels, values):
        if values == "raw":
            return self.info.labels[""].lut[labels]
        return labels.astype(np.uint8, copy=False)

    def read(self, path):
        """The classes in a file, uint8 (H, W), 255 for none.

        Raises:
            MXNetSegError: the file is damaged, or holds what is no class.
        """
        labels = masks.read_labels(path, self.info.labels[""])
        if self.values == "color":
            return self._from_colors(path, labels)
        if not self._possible(labels, self.values):
            raise DataError(
                path,
                "unknown label",
                f"holds values that are not {VALUES[self.values]}",
                "give --values, or write it again",
            )
        return self._classes(labels, self.values)

    def _from_colors(self, path, labels):
        if labels.ndim != 3:
            raise DataError(path, "not RGB", "is not in colour", "give --values classes or raw")
        palette = [tuple(int(v) for v in color) for color in self.info.palette]
        if len(set(palette)) < len(palette):
            raise UsageError(
                f"Classes of {self.info.title} share colours: label maps are needed, not colours."
            )
        packed = labels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
        values, inverse = np.unique(packed, return_inverse=True)
        table = {r << 16 | g << 8 | b: k for k, (r, g, b) in enumerate(palette)}
        r, g, b = (int(v) for v in self.info.void_color)
        table.setdefault(r << 16 | g << 8 | b, IGNORE)
        wrong = [v for v in values.tolist() if v not in table]
        if wrong:
            color = wrong[0] >> 16, wrong[0] >> 8 & 255, wrong[0] & 255
            raise DataError(
                path, "unknown label", f"has the colour {color}, which no class has",
                "give the label maps instead",
            )  # fmt: skip
        classes = np.array([table[v] for v in values.tolist()], np.uint8)
        return classes[inverse].reshape(labels.shape[:2])


def _begins(stem, start):
    """Whether a name is another one with something appended."""
    return stem.startswith(start) and not stem[len(start) : len(start) + 1].isalnum()
