"""The images of a page: photo, truth, predictions and errors, small and as text (data URLs)."""

import base64
import io
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import List

import cv2
import numpy as np
from PIL import Image

from .. import data
from ..data.images import as_picture
from ..description import IGNORE
from ..errors import MXNetSegError
from ..inference.evaluator import lookup
from ..inference.label_maps import LabelMaps
from ..inference.merge import segment
from ..inference.protocol import Protocol
from ..inference.writers import WRONG, error_map, output_name
from ..metrics import ConfusionMatrix
from ..palette import full_palette
from . import collect

COUNT = 12  # images of a group
SIZES = (512, 416, 336, 272, 208)  # long sides, tried in turn until the page is small enough
ALL_PICTURES = 3_300_000  # bytes of a page for them, as text
SAME_SCORE = 2e-6  # per_image.csv has six decimals
ERROR_COLORS = np.full((256, 4), (255, 255, 255, 0), np.uint8)  # RGBA
ERROR_COLORS[WRONG], ERROR_COLORS[IGNORE] = (232, 36, 52, 255), (20, 22, 28, 190)


@dataclass
class Shown:
    """An image, reduced to what the page shows.

    Attributes:
        image: uint8 RGB. truth: classes, and predictions: of each run, both of that size.
        scores: mIoU of each run. failures: of each run [(class, pixels wrong / labelled), ...].
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    predictions: List[np.ndarray] = field(default_factory=list)
    scores: List[float] = field(default_factory=list)
    failures: List[list] = field(default_factory=list)


def groups(runs, count=COUNT):
    """Which images are shown, and why: [(title, note, [name, ...]), ...].

    Args:
        runs: of the same images.
    """
    names = [row["image"] for row in runs[0].rows]
    scores = [{row["image"]: row.get("miou", math.nan) for row in run.rows} for run in runs]
    names = [n for n in names if all(not math.isnan(s.get(n, math.nan)) for s in scores)]
    ranked = sorted(names, key=lambda n: sum(s[n] for s in scores))
    half = min(count, len(ranked) // 2)
    mean = "mean of the runs" if len(runs) > 1 else "mIoU of the image"
    found = [
        ("Worst images", f"lowest first, {mean}", ranked[: len(ranked) - half][:count]),
        ("Best images", f"highest first, {mean}", ranked[len(ranked) - half :][::-1]),
    ]
    if len(runs) == 2:
        change = sorted(ranked, key=lambda n: scores[1][n] - scores[0][n])
        few = count // 2
        for title, some in (("gains", change[::-1]), ("loses", change)):
            sign = 1 if title == "gains" else -1
            some = [n for n in some[:few] if sign * (scores[1][n] - scores[0][n]) > 0]
            note = f"against {runs[0].name}"
            found.append((f"Where {runs[1].name} {title} most", note, some))
    return [(title, note, some) for title, note, some in found if some]


def load(runs, names, ask=None):
    """{name: Shown} of the images of some names.

    Predictions are those in ``labels/`` beside the results, or the network computes them again.

    Raises:
        MXNetSegError: neither is there, or the data set is not.
    """
    dataset = _dataset(runs[0])
    index = {name: k for k, name in enumerate(dataset.names)}
    missing = [n for n in names if n not in index]
    if missing:
        raise MXNetSegError(f"{missing[0]} is no longer in the data set.")
    shown = {}
    for number, run in enumerate(runs):
        predictions = _Predictions(run, dataset, ask)
        for name in names:
            sample = dataset[index[name]]
            classes, matrix = predictions(sample)
            if number == 0:
                image = as_picture(sample.image)
                small = _reduced(image.shape[:2], SIZES[0])
                shown[name] = Shown(name, resize(image, small), nearest(sample.mask, small))
            item = shown[name]
            item.predictions.append(nearest(classes, item.truth.shape))
            item.scores.append(matrix.miou)
            item.failures.append(_failures(matrix))
    return shown


def _dataset(run):
    where = run.result.get("data") or (run.experiment.get("data") and _where(run))
    if not where:
        raise MXNetSegError("It is not known where the images lie.")
    return data.create(where["name"], where["split"], where["root"], **where["options"])


def _where(run):
    """What results of old versions leave out, as the experiment has it."""
    section = run.experiment["data"]
    return {
        "name": section["name"],
        "root": section.get("root"),
        "split": run.result.get("split") or section.get("val_split") or "val",
        "options": section.get("options") or {},
    }


class _Predictions:
    """The class maps of a run: those that were written, if they are the ones that were scored."""

    def __init__(self, run, dataset, ask):
        self.run, self.ask, self.taken = run, ask, set()
        self.files = {n: run.folder / "labels" / output_name(n, self.taken) for n in dataset.names}
        self.scores = {row["image"]: row["miou"] for row in run.rows}
        self.table = lookup(run.order or ())
        self.network, self.maps = None, None
        folder = run.result.get("predictions")
        if folder is not None and Path(folder).is_dir():  # of `mxnetseg score`
            self.maps = LabelMaps(folder, dataset.info, run.result["values"])
            self.files = self.maps.pair(dataset, {row["image"] for row in run.rows})

    def __call__(self, sample):
        """uint8 (H, W) in the size of the mask, and the ConfusionMatrix of it."""
        path = Path(self.files[sample.name])
        if self.maps is not None:
            classes = self.maps.read(path)
            return classes, self._matrix(classes, sample)
        if path.exists():
            classes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if classes is not None and classes.shape == sample.mask.shape:
                matrix = self._matrix(classes, sample)
                # another protocol, as of --mode testval after --mode val --ms, scores otherwise
                if abs(matrix.miou - self.scores[sample.name]) < SAME_SCORE:
                    return classes, matrix
        classes = self._segment(sample)
        return classes, self._matrix(classes, sample)

    def _matrix(self, classes, sample):
        matrix = ConfusionMatrix(len(self.run.classes))
        matrix.update(classes, sample.mask)
        return matrix

    def _segment(self, sample):
        if self.network is None:
            if self.run.checkpoint is None:
                missing = self.run.result.get("checkpoint")
                raise MXNetSegError(f"The checkpoint {missing} is not there any more.")
            self.network = collect.backend(self.run.checkpoint, self.ask)
            self.protocol = Protocol(**self.run.result["protocol"])
        classes = segment(self.network, sample.image, self.protocol, sample.mask.shape)
        return cv2.LUT(classes, self.table)


def _failures(matrix):
    """The classes with most wrong pixels: [(class, share of its pixels in the truth), ...]."""
    wrong = matrix.labelled - matrix.hits
    worst = [int(k) for k in np.argsort(-wrong, kind="stable")[:3] if wrong[k]]
    return [(k, wrong[k] / matrix.labelled[k]) for k in worst]


# --- sizes and bytes ----------------------------------------------------------------------------


def _reduced(size, long_side):
    scale = min(1.0, long_side / max(size))
    return tuple(max(1, round(n * scale)) for n in size)


def resize(image, size):
    """An image at (height, width), smaller or as it is."""
    if image.shape[:2] == tuple(size):
        return image
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def nearest(classes, size):
    """A label map at (height, width)."""
    if classes.shape == tuple(size):
        return classes
    return cv2.resize(classes, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def encode(shown, palette):
    """Everything that the page shows of the images, as data URLs, in few enough bytes.

    Args:
        shown: list of Shown. palette: uint8 (classes, 3).

    Returns:
        {name: {"photo", "truth", "runs": [(prediction, errors), ...], "width", "height"}}.
    """
    colors = np.full((256, 4), (0, 0, 0, 0), np.uint8)  # ignored: the photo shows
    colors[: len(palette), :3] = full_palette(palette)[: len(palette)]
    colors[: len(palette), 3] = 255
    for long_side in SIZES:
        found = {item.name: _encode(item, colors, long_side) for item in shown}
        texts = (t for f in found.values() for t in (f["photo"], f["truth"], *sum(f["runs"], ())))
        if sum(map(len, texts)) <= ALL_PICTURES:
            break
    return found


def _encode(item, colors, long_side):
    size = _reduced(item.truth.shape, long_side)
    truth = nearest(item.truth, size)
    maps = [nearest(p, size) for p in item.predictions]
    return {
        "photo": webp(resize(item.image, size)),
        "truth": palette_png(truth, colors),
        "runs": [
            (palette_png(m, colors), palette_png(error_map(m, truth), ERROR_COLORS)) for m in maps
        ],
        "width": size[1],
        "height": size[0],
    }


def webp(image, quality=72):
    """uint8 RGB -> a data URL."""
    pixels = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    return _url("webp", cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])[1])


def palette_png(values, colors):
    """uint8 (H, W) indices into 256 RGBA ``colors`` -> a data URL of a palette PNG."""
    # only the colours that occur: PNG then takes fewer bits a pixel
    used = np.unique(values)
    table = np.zeros(256, np.uint8)
    table[used] = np.arange(len(used))
    picture = Image.fromarray(cv2.LUT(np.ascontiguousarray(values), table))
    chosen = colors[used]
    picture.putpalette(chosen[:, :3].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, transparency=chosen[:, 3].tobytes())
    return _url("png", buffer.getvalue())


def _url(kind, content):
    return f"data:image/{kind};base64,{base64.b64encode(bytes(content)).decode('ascii')}"
