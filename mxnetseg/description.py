"""What a checkpoint or a data set says about its data: one type for both."""

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

IGNORE = 255
"""The value of ignored pixels in every mask in memory."""


@dataclass(frozen=True, eq=False)
class Description:
    """The data that a network was trained on, or is run on.

    Attributes:
        name: of the data set; None: unknown.
        classes: their names, in the order of the indices.
        palette: uint8 (num_classes, 3), RGB.
        void_color: RGB of what is no class.
        mean, std: normalisation of the images on 0..1, for each channel.
        max_value: the value in image files that means 1; None: by their type.
        scales: of multi-scale evaluation; empty: the protocol's own.
    """

    name: Optional[str]
    classes: Tuple[str, ...]
    palette: np.ndarray
    void_color: Tuple[int, int, int]
    mean: Tuple[float, ...]
    std: Tuple[float, ...]
    max_value: Optional[float]
    scales: Tuple[float, ...]

    @property
    def num_classes(self):
        return len(self.classes)

    @property
    def channels(self):
        """Of the images, usually 3."""
        return len(self.mean)

    @property
    def has_names(self):
        """Whether the classes have names of their own."""
        return self.classes != unnamed(self.num_classes)

    def as_meta(self):
        """As JSON, for a checkpoint; :func:`from_meta` reads it."""
        return {
            "data": self.name,
            "classes": list(self.classes),
            "palette": np.asarray(self.palette).tolist(),
            "void_color": [int(v) for v in self.void_color],
            "mean": [float(v) for v in self.mean],
            "std": [float(v) for v in self.std],
            "max_value": self.max_value,
            "scales": [float(v) for v in self.scales],
        }

    def difference(self, other):
        """How the classes of ``other`` differ, as a clause for an error; None: they do not.

        Names are compared without regard to case, spaces, hyphens and underscores. Where one side
        has no names, only the number counts.
        """
        if self.num_classes != other.num_classes:
            return f"{_shown(self)} against {_shown(other)}"
        if not (self.has_names and other.has_names):
            return None
        ours, theirs = _plain(self.classes), _plain(other.classes)
        if ours == theirs:
            return None
        at = next(k for k, (a, b) in enumerate(zip(ours, theirs)) if a != b)
        what = "the same classes in another order" if self.order_in(other) else "other classes"
        return (
            f"{what}: class {at} is '{self.classes[at]}' in {_listed(self.classes)}, but "
            f"'{other.classes[at]}' in {_listed(other.classes)}"
        )

    def order_in(self, other):
        """For each of our classes the index of the class of that name in ``other``, or None.

        None where the names are not the same, each once.
        """
        ours, theirs = _plain(self.classes), _plain(other.classes)
        if sorted(ours) != sorted(theirs) or len(set(ours)) < len(ours):
            return None
        return [theirs.index(name) for name in ours]


def from_meta(meta):
    """The Description in a checkpoint's ``meta``; also of files that older versions wrote."""
    return Description(
        name=meta.get("data"),
        classes=tuple(meta["classes"]),
        palette=np.asarray(meta["palette"], np.uint8),
        void_color=tuple(meta.get("void_color") or (0, 0, 0)),
        mean=tuple(meta["mean"]),
        std=tuple(meta["std"]),
        max_value=meta.get("max_value"),
        scales=tuple(meta.get("scales") or ()),
    )


def unnamed(count):
    """The names of classes that have none."""
    return tuple(f"class {k}" for k in range(count))


def unnamed_description(count, channels=3):
    """The Description of data of which nothing is known; grey levels, mean 0.5."""
    grey = np.linspace(0, 255, count).astype(np.uint8)
    palette = np.stack([grey] * 3, axis=1)
    mean, std = (0.5,) * channels, (0.25,) * channels
    return Description(None, unnamed(count), palette, (0, 0, 0), mean, std, None, ())


def _plain(names):
    return ["".join(c for c in name.lower() if c not in " _-") for name in names]


def _shown(description):
    return f"{description.num_classes} classes ({_listed(description.classes)})"


def _listed(names):
    if len(names) <= 12:
        return ", ".join(names)
    return ", ".join([*names[:5], "...", names[-1]])
