"""How an image is scored: whole or in windows, at which scales, mirrored or not, how merged.

That is data; :mod:`~mxnetseg.inference.merge` does it, :mod:`~mxnetseg.inference.presets` names
those of the original code bases.
"""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple, Optional, Tuple

from .. import config
from ..errors import UsageError
from . import presets

WHOLE_PIXELS = 7_000_000  # of an image at once; a ladder decoder takes about 5 GB for so many

# The values of the rules that are words, and what they mean. The first is the toolkit's own.
CHOICES = {
    "mode": {"whole": "the whole image at once", "slide": "windows"},
    "windows": {
        "shift": "the last window of a row or column is moved back",
        "pad": "the last window of a row or column sticks out and is filled with black",
    },
    "merge": {
        "prob": "mean of the soft-max over mirror images, windows and scales",
        "exp": "exp(sum of the logits of both mirror images), mean over windows, sum over scales",
        "exp_mean": "exp(mean of the logits of both mirror images), mean over windows, sum over "
        "scales",
        "logits": "mean of the logits over mirror images and windows, sum over scales",
    },
    "image": {"uint8": "rounded to 8 bits", "float": "as float32"},
    "resize": {
        "area": "linearly by pixel centres, by areas when it shrinks to 1/1.3 or less",
        "half_pixel": "linearly by pixel centres",
        "aligned": "linearly with corners aligned",
    },
    "size_rule": {
        "ceil": "long = ceil(base x scale - 1e-6), short = int(short x long / long side + 0.5)",
        "ceil_exact": "long = ceil(base x scale), short = int(short x long / long side + 0.5)",
        "round": "long = round(base x scale), short = round(long / long side x short)",
        "half_up": "long = int(base x scale + 0.5), short = int(short x long / long side + 0.5)",
        "each": "int(height x scale), int(width x scale)",
    },
    "padding": {
        "right_below": "right and below",
        "both_sides": "on both sides, the odd pixel right and below",
        "none": "only to what the network takes",
    },
    "stride_rule": {
        "floor": "two thirds of the crop, rounded down",
        "ceil": "two thirds of the crop, rounded up",
        "crop": "the crop",
    },
    "scores_resize": {
        "half_pixel": "linearly by pixel centres",
        "aligned": "linearly with corners aligned",
    },
    "one_pass": {"logits": "the logits", "scores": "the scores"},
}


class Plan(NamedTuple):
    """The windows over an image.

    Attributes:
        rows, columns: [(start, stop), ...]: what they show of the image.
        size: (height, width) of the network's input.
        before: (rows, columns) of padding above and left of the image in it.
    """

    rows: list
    columns: list
    size: Tuple[int, int]
    before: Tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Protocol:
    """What an evaluation does with an image; printed with every result.

    Without arguments it is the toolkit's own. What the words mean stands in :data:`CHOICES`.

    Attributes:
        mode: ``whole``: the image at once, padded to what the network takes (of more than 7 million
            pixels, after scaling: in two overlapping halves); ``slide``: windows of ``crop_size``.
        crop_size: (height, width) of a window. None: the data set's own.
        stride: (rows, columns) between windows. None: by ``stride_rule``.
        scales: sizes relative to the image (or to ``base_size``).
        flip: score the mirrored image as well.
        merge: how scores are made of logits and averaged. With ``exp`` and ``exp_mean`` large
            logits count more; so that they do not overflow, all scores of an image are divided by
            one common number where necessary, and where logits differ by more than float64 can
            hold (a network that is hardly trained), an image is merged as with ``logits``.
        base_size: long side that scale 1 means. None: the image's own.
        windows: the last ones of ``slide``.
        preset: whose rules these are: one of :data:`presets.PRESETS`, or None.
        image, resize, size_rule: how the image is scaled. Whether it is normalised before or after
            makes no difference where it is ``float``: both are linear.
        padding: where windows are padded that are larger than the image.
        stride_rule: of ``stride``. whole_up_to: scales up to this one see the image whole.
        scores_resize: how the scores of the scaled image get the size of the mask.
        one_pass: what is resized where there is one window at one scale: for ``logits`` that needs
            no scores at all.
    """

    mode: str = "whole"
    crop_size: Optional[Tuple[int, int]] = None
    stride: Optional[Tuple[int, int]] = None
    scales: Tuple[float, ...] = (1.0,)
    flip: bool = False
    merge: str = "prob"
    base_size: Optional[int] = None
    windows: str = "shift"
    preset: Optional[str] = None
    image: str = "uint8"
    resize: str = "area"
    size_rule: str = "ceil"
    padding: str = "right_below"
    stride_rule: str = "floor"
    whole_up_to: Optional[float] = None
    scores_resize: str = "half_pixel"
    one_pass: str = "logits"

    def __post_init__(self):
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name} is {' or '.join(known)}, not '{getattr(self, name)}'.")
        if self.preset is not None:
            presets.find(self.preset)
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
        if self.base_size is not None and self.size_rule == "each":
            raise UsageError(
                f"The protocol '{self.preset}' scales each side by a factor and has no base size: "
                "give --scales instead of --base."
            )
        if self.crop_size and any(s > c for s, c in zip(self.step, self.crop_size)):
            raise UsageError(
                f"The stride {self.step} is larger than the crop {self.crop_size}: pixels between "
                "the windows would have no score. Use a smaller stride."
            )

    @classmethod
    def from_config(cls, experiment):
        """The protocol of an experiment's section ``eval``."""
        section = experiment.eval.model_dump()
        section["preset"] = section.pop("protocol")
        meta = {
            "network": {"name": experiment.model.name},
            "experiment": experiment.model_dump(),
        }
        return cls.build(meta, data=experiment.data.name, **section)

    @classmethod
    def build(cls, meta, multi_scale=None, data=None, **wishes):
        """A checkpoint's protocol with somebody's wishes on top.

        Args:
            meta: of the checkpoint: its protocol, its network, the crop that it was trained with.
            data: name of the data set, for the sizes of a preset.
            multi_scale: the data set's scales (empty: the usual ones), mirrored images too.
            wishes: attributes of a Protocol; None: as it is. ``mode`` without ``preset`` means the
                toolkit's own rules, ``crop_size`` without ``mode`` sliding windows.

        Raises:
            UsageError: the settings do not go together.
        """
        wishes = {k: v for k, v in wishes.items() if v is not None}
        saved = dict(meta.get("protocol") or {})
        name = wishes.get("preset") or (None if "mode" in wishes else saved.get("preset"))
        if name:
            found = _preset(name, meta, data, saved, multi_scale, wishes)
        else:
            found = {} if saved.get("preset") else saved
            if multi_scale is not None:
                found.update(scales=tuple(multi_scale or presets.MULTI_SCALE), flip=True)
        if "crop_size" in wishes:
            found.update(mode="slide", stride=None)
        found.update(wishes)
        if found.get("mode") == "slide" and not found.get("crop_size"):
            trained = (meta.get("experiment") or {}).get("train") or {}
            found["crop_size"] = trained.get("crop_size")
        return cls(**found)

    def as_dict(self):
        """As JSON; ``Protocol(**that)`` is the same again."""
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        if self.mode == "slide" and self.crop_size:
            lists["stride"] = list(self.step)
        return lists

    def __str__(self):
        text = f"{self.preset}: {self.mode}" if self.preset else self.mode
        if self.mode == "slide" and self.crop_size:
            text += " {}x{} stride {}x{}".format(*self.crop_size, *self.step)
        text += ", scales " + " ".join(f"{s:g}" for s in self.scales)
        if self.base_size:
            text += f" of {self.base_size}"
        return text + (", flip" if self.flip else "") + f", merge {self.merge}"

    def rules(self):
        """Every rule in words: {attribute: words}."""
        words = {name: known[getattr(self, name)] for name, known in CHOICES.items()}
        words["mode"] = str(self)
        words["fill"] = "black" if self.fills_black else "mean colour"
        if self.mirrors_window:
            words["mirror"] = "the window is padded, then mirrored"
        else:
            words["mirror"] = "the image is mirrored, then padded"
        if self.whole_up_to is not None:
            words["whole_up_to"] = f"scales up to {self.whole_up_to:g} see the image whole"
        unused = set() if self.flip else {"mirror"}
        if self.mode == "whole":
            unused |= {"windows", "stride_rule"}
        return {name: text for name, text in words.items() if name not in unused}

    @property
    def fills_black(self):
        """Whether windows are filled with black; else with the mean colour."""
        return self.mode == "slide" and self.windows == "pad"

    @property
    def mirrors_window(self):
        """Whether the padded window is mirrored; else what it shows of the image."""
        return self.fills_black or self.padding == "both_sides"

    @property
    def step(self):
        """(rows, columns) between windows."""
        if self.stride:
            return self.stride
        if self.stride_rule == "crop":
            return self.crop_size
        if self.stride_rule == "ceil":
            return tuple(-(-c * 2 // 3) for c in self.crop_size)
        return tuple(max(1, int(c * 2 / 3)) for c in self.crop_size)

    def scaled_size(self, height, width, scale):
        """(height, width) of an image at a scale."""
        if self.size_rule == "each":
            return tuple(max(1, int(v * scale)) for v in (height, width))
        long_side = max(height, width)
        base = self.base_size or long_side
        if self.size_rule == "ceil":
            # the small number: 1000 x 1.1 is 1100.0000000000002
            long = math.ceil(base * scale - 1e-6)
        elif self.size_rule == "ceil_exact":
            long = math.ceil(base * scale)
        else:
            long = round(base * scale) if self.size_rule == "round" else int(base * scale + 0.5)
        long = max(1, long)

        def other(side):
            if self.size_rule == "round":
                return max(1, round(long / long_side * side))
            return max(1, int(side * long / long_side + 0.5))

        return tuple(long if v == long_side else other(v) for v in (height, width))

    def plan(self, height, width, scale=1.0):
        """The Plan for a scaled image of (height, width)."""
        if self.mode == "whole" or (self.whole_up_to is not None and scale <= self.whole_up_to):
            return Plan(*_whole(height, width))
        size, crop = (height, width), self.crop_size
        rows, columns = (
            _ranges(n, c, s, self.windows == "shift") for n, c, s in zip(size, crop, self.step)
        )
        before = (0, 0)
        if self.padding == "both_sides":
            before = tuple(max(0, c - n) // 2 for c, n in zip(crop, size))
        if self.padding == "none":
            crop = tuple(min(c, n) for c, n in zip(crop, size))
        return Plan(rows, columns, crop, before)


def _preset(name, meta, data, saved, multi_scale, wishes):
    """The settings of a preset; what a checkpoint's own protocol of that name has comes first."""
    is_saved, multi = saved.get("preset") == name, multi_scale is not None
    has_multi = "multi" in presets.find(name)
    if multi and not has_multi:
        raise UsageError(
            f"The protocol '{name}' has one scale and no mirror images: drop --ms, or take "
            "--protocol whole."
        )
    scales = has_multi and "scales" in wishes  # as in the multi-scale evaluation, but not mirrored
    if is_saved and not (multi or scales):
        return saved
    network = (meta.get("network") or {}).get("name")
    found = presets.settings(name, data, network, multi or scales)
    if found.get("base_size") and not presets.knows(name, data):
        trained = (meta.get("experiment") or {}).get("augment") or {}
        found["base_size"] = trained.get("base_size") or found["base_size"]
    if scales and not multi:
        found["flip"] = presets.settings(name).get("flip", False)
    if found.get("scales", True) is None:
        found["scales"] = tuple(multi_scale or presets.MULTI_SCALE)
    fixed = (meta.get("input") or {}).get("fixed_size")
    if fixed and found["mode"] == "slide":
        found["crop_size"] = tuple(fixed)
    if is_saved:
        found.update({k: saved[k] for k in ("base_size", "crop_size") if saved.get(k)})
    return found


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
