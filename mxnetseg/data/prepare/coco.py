"""MS-COCO: masks of the 20 classes of Pascal VOC, drawn from the annotations."""

import collections
import json
import os

import numpy as np

from ...errors import MXNetSegError
from ...files import png
from .. import sources
from ..masks import read_labels
from .plan import find, needs

MIN_FOREGROUND = 1000
"""Images with so many foreground pixels or fewer are left out of the lists, as published."""


def plan(plan):
    """MS-COCO: annotations/instances_*.json -> masks/<folder>/*.png and masks/<folder>.txt.

    Annotations are drawn in the order of the file, a pixel keeps the first class. Categories
    that are none of the 20 are background. The lists hold the images with more than 1000 foreground
    pixels.
    """
    tools = needs("pycocotools", "pycocotools.mask")
    table = sources.info("mscoco").labels[""].lut
    found = False
    for folder in ("train2017", "val2017"):
        file = plan.root / "annotations" / f"instances_{folder}.json"
        if not file.is_file():
            continue
        found = True
        images = _images(plan, folder)
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            records, annotations = content["images"], content["annotations"]
        except (OSError, ValueError, KeyError) as error:
            raise MXNetSegError(f"{file} is not COCO's ({error}); download it again.") from None
        of_image = collections.defaultdict(list)
        for annotation in annotations:
            if table[annotation["category_id"] & 255]:
                of_image[annotation["image_id"]].append(annotation)
        stems = []
        for record in sorted(records, key=lambda r: r["file_name"]):
            if not (images / record["file_name"]).is_file():
                continue
            stem = os.path.splitext(record["file_name"])[0]
            stems.append(stem)
            plan.make(
                f"masks/{folder}/{stem}.png", draw, tools, record, of_image[record["id"]], table
            )
            plan.link(f"{folder}/{record['file_name']}", images / record["file_name"])
        if not stems:
            raise MXNetSegError(f"{images} holds none of the images that {file} lists.")
        plan.list(f"masks/{folder}.txt", _kept(plan, folder, stems))
    if not found:
        find(
            plan.root, "annotations/instances_train2017.json", "annotations/instances_val2017.json"
        )


def _images(plan, folder):
    return find(plan.root, folder, f"images/{folder}")


def draw(tools, record, annotations, table):
    """The mask of an image as PNG."""
    height, width = record["height"], record["width"]
    mask = np.zeros((height, width), np.uint8)
    for annotation in annotations:
        inside = area(tools, annotation["segmentation"], (height, width))
        mask[inside & (mask == 0)] = table[annotation["category_id"]]
    return png(mask)


def area(tools, shape, size):
    """bool (H, W): the pixels of polygons, or of a run-length code, of an image of ``size``."""
    if isinstance(shape, list) and not shape:
        return np.zeros(size, bool)
    compressed = isinstance(shape, dict) and isinstance(shape["counts"], (str, bytes))
    inside = tools.decode(shape if compressed else tools.frPyObjects(shape, *size))
    return inside.any(axis=2) if inside.ndim == 3 else inside.astype(bool)


def _kept(plan, folder, stems):
    """The stems with enough foreground, counted in the finished masks."""

    def lines():
        kept = []
        for stem in stems:
            mask = read_labels(plan.out / f"masks/{folder}/{stem}.png")
            if np.count_nonzero(mask) > MIN_FOREGROUND:
                kept.append(stem)
        return kept

    return lines
