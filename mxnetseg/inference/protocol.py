"""How an image is scored: whole or in windows, at which scales, mirrored or not, how merged."""

import math
from dataclasses import asdict, dataclass
from typing import Optional, Tuple

from .. import config
from ..errors import UsageError

WHOLE_PIXELS = 7_000_000  # of an image at once; a ladder decoder takes about 5 GB for so many
MULTI_SCALE = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)  # where a data set does not name its own


@dataclass(frozen=True)
class Protocol:
    """What an evaluation does with an image; printed with every result.

    Attributes:
        mode: ``whole``: the image at once, padded to what the network takes (of more than 7 million
            pixels, after scaling: in two overlapping halves); ``slide``: windows of ``crop_size``.
            Padding is the mean colour, right and below.
        crop_size: (height, width) of a window. None: the data set's own.
        stride: (rows, columns) between windows. None: two thirds of the crop.
        scales: sizes relative to the image (or to ``base_size``).
        flip: score the mirrored image as well.
        merge: ``prob``: mean of the soft-max over mirror images, windows and scales. ``exp``:
            MXNetSeg's: exp(sum of the logits of both mirror images), mean over windows, sum over
            scales; large logits count more, and so that they do not overflow, all scores of an
            image are divided by one common number where necessary.
        base_size: long side that scale 1 means. None: the image's own.
        windows: ``shift``: the last window of a row or column is moved back to full size; ``pad``:
            it sticks out and is filled with black, as in MXNetSeg.

    Images are scaled linearly, by areas when they shrink to 1/1.3 or less; scores linearly (pixel
    centres aligned), at last to the size of the mask.
    """

    mode: str = "whole"
    crop_size: Optional[Tuple[int, int]] = None
    stride: Optional[Tuple[int, int]] = None
    scales: Tuple[float, ...] = (1.0,)
    flip: bool = False
    merge: str = "prob"
    base_size: Optional[int] = None
    windows: str = "shift"

    def __post_init__(self):
        for name, known in (
            ("mode", ("whole", "slide")),
            ("merge", ("prob", "exp")),
            ("windows", ("shift", "pad")),
        ):
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {' or '.join(known)}, not '{getattr(self, name)}'.")
        for name in ("crop_size", "stride"):
            value = getattr(self, name)
            if value is not None:
                value = config.pair(value)
                if len(value) != 2 or min(value) < 1:
                    raise UsageError(f"{name} needs a positive height and width, not {value}.")
                object.__setattr__(self, name, tuple(int(v) for v in value))
        scales = tuple(float(s) for s in self.scales)
        if not scales or not all(0 < s < math.inf for s in scales):
            raise UsageError(f"scales must be positive numbers, not {list(self.scales)}.")
        object.__setattr__(self, "scales", scales)
        if self.base_size is not None and self.base_size < 1:
            raise UsageError(f"base_size must be positive, not {self.base_size}.")
        if self.crop_size and any(s > c for s, c in zip(self.step, self.crop_size)):
            raise UsageError(
                f"The stride {self.step} is larger than the crop {self.crop_size}: pixels between "
                "the windows would have no score. Use a smaller stride."
            )

    @classmethod
    def from_config(cls, experiment):
        """The protocol of an experiment's section ``eval``."""
        section = experiment.eval.model_dump()
        if section["mode"] == "slide" and section["crop_size"] is None:
            section["crop_size"] = experiment.train.crop_size
        return cls(**section)

    @classmethod
    def build(cls, meta, multi_scale=None, **wishes):
        """A checkpoint's protocol with somebody's wishes on top.

        Args:
            meta: of the checkpoint: its protocol, and the crop that it was trained with.
            multi_scale: the data set's scales (empty: the usual ones), mirrored images too.
            wishes: attributes of a Protocol; None: as it is. ``crop_size`` without ``mode`` means
                sliding windows.
        """
        wishes = {k: v for k, v in wishes.items() if v is not None}
        fields = dict(meta.get("protocol") or {})
        if multi_scale is not None:
            fields.update(scales=tuple(multi_scale or MULTI_SCALE), flip=True)
        if "crop_size" in wishes:
            fields.update(mode="slide", stride=None)
        fields.update(wishes)
        if fields.get("mode") == "slide" and not fields.get("crop_size"):
            trained = (meta.get("experiment") or {}).get("train") or {}
            fields["crop_size"] = trained.get("crop_size")
        return cls(**fields)

    def as_dict(self):
        """As JSON; ``Protocol(**that)`` is the same again."""
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if self.mode == "slide" and self.crop_size:
            lists["stride"] = list(self.step)
        return lists

    def __str__(self):
        text = self.mode
        if self.mode == "slide" and self.crop_size:
            text += " {}x{} stride {}x{}".format(*self.crop_size, *self.step)
        text += ", scales " + " ".join(f"{s:g}" for s in self.scales)
        if self.base_size:
            text += f" of {self.base_size}"
        return text + (", flip" if self.flip else "") + f", merge {self.merge}"

    @property
    def step(self):
        """(rows, columns) between windows."""
        return self.stride or tuple(max(1, int(c * 2 / 3)) for c in self.crop_size)

    def scaled_size(self, height, width, scale):
        """(height, width) of an image at a scale; MXNetSeg's rule."""
        long_side = max(height, width)
        # the small number: 1000 x 1.1 is 1100.0000000000002
        long = max(1, math.ceil((self.base_size or long_side) * scale - 1e-6))
        return tuple(
            long if v == long_side else max(1, int(v * long / long_side + 0.5))
            for v in (height, width)
        )

    def plan(self, height, width):
        """The windows over an image: (row ranges, column ranges, size of the network's input)."""
        if self.mode == "whole":
            return _whole(height, width)
        axes = [
            _ranges(n, c, s, self.windows == "shift")
            for n, c, s in zip((height, width), self.crop_size, self.step)
        ]
        return axes[0], axes[1], self.crop_size


def _whole(height, width):
    """The plan of one window; of two that overlap by a quarter where memory would not suffice."""
    if height * width <= WHOLE_PIXELS:
        return [(0, height)], [(0, width)], (height, width)
    part = -(-max(height, width) * 5 // 8)
    if width >= height:
        return [(0, height)], [(0, part), (width - part, width)], (height, part)
    return [(0, part), (height - part, height)], [(0, width)], (part, width)


def _ranges(length, crop, stride, shift):
    """[(start, stop), ...] that cover 0 ... length."""
    if length <= crop:
        return [(0, length)]
    count = -(-(length - crop) // stride) + 1
    starts = [min(i * stride, length - crop) if shift else i * stride for i in range(count)]
    return [(s, min(s + crop, length)) for s in starts]
