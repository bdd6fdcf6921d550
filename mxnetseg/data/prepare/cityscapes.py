"""Cityscapes: label ids drawn from the polygons, as the official tool draws them."""

import json
import os

import numpy as np
from PIL import Image, ImageDraw

from ...errors import MXNetSegError
from ...files import png

# The label ids in order; license plate (-1) is never drawn.
IDS = {
    name: number
    for number, name in enumerate(
        """unlabeled, ego vehicle, rectification border, out of roi, static, dynamic, ground, road,
        sidewalk, parking, rail track, building, wall, fence, guard rail, bridge, tunnel, pole,
        polegroup, traffic light, traffic sign, vegetation, terrain, sky, person, rider, car, truck,
        bus, caravan, trailer, train, motorcycle, bicycle""".replace("\n       ", "").split(", ")
    )
}


def plan(plan):
    """Cityscapes: gtFine/**/*_polygons.json -> *_labelIds.png."""
    _draw_all(plan, "gtFine")


def plan_coarse(plan):
    """Cityscapes coarse: gtCoarse/**/*_polygons.json -> *_labelIds.png."""
    _draw_all(plan, "gtCoarse")


def _draw_all(plan, kind):
    end = f"_{kind}_polygons.json"
    found = sorted((plan.root / kind).glob(f"*/*/*{end}"))
    if not found:
        raise MXNetSegError(f"{plan.root} holds no {kind}/<split>/<city>/*{end}; unpack it there.")
    for path in found:
        below = path.relative_to(plan.root).as_posix()
        target = below[: -len("polygons.json")] + "labelIds.png"
        if (plan.root / target).is_file():
            plan.link(target, plan.root / target)  # of the official archive
        else:
            plan.make(target, lambda path=path: png(np.array(draw(path))))
        image = below.replace(kind, "leftImg8bit", 1)[: -len(end)] + "_leftImg8bit.png"
        if os.path.isfile(plan.root / image):
            plan.link(image, plan.root / image)


def draw(path):
    """The label ids of a polygon file, as a grey PIL image."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        mask = Image.new("L", (content["imgWidth"], content["imgHeight"]), 0)
        objects = [
            (o["label"], [tuple(p) for p in o["polygon"]])
            for o in content["objects"]
            if not o.get("deleted")
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MXNetSegError(f"{path} is no polygon file of Cityscapes ({error}).") from None
    pen = ImageDraw.Draw(mask)
    for label, polygon in objects:
        if label not in IDS and label.endswith("group"):
            label = label[: -len("group")]  # several that cannot be told apart: cargroup
        if label == "license plate":
            continue
        if label not in IDS:
            raise MXNetSegError(f"{path} has the unknown label '{label}'.")
        if len(polygon) > 1:
            pen.polygon(polygon, fill=IDS[label])
    return mask
