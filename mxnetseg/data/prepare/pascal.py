"""The Pascal family: VOC with SBD's masks, and Pascal Context."""

import collections
import json

import numpy as np

from ...errors import MXNetSegError
from ...files import png
from .. import masks, sources
from . import coco
from .plan import file_values, find, mat, needs, read_lines

_VOC = ("VOCdevkit/VOC2012", "VOC2012", ".")
_SBD = ("benchmark_RELEASE/dataset", "VOCdevkit/SBD", "SBD", "VOCaug/dataset", "dataset")


def voc_aug(plan):
    """VOC 2012 + SBD: VOCAug/img_aug, VOCAug/cls_aug and the lists, of both data sets.

    Where both have a mask, VOC's counts. train_aug is all of SBD and of VOC's train without VOC's
    val (10582 images), trainval_aug is that and val (12031).
    """
    voc = _holding(plan.root, "ImageSets/Segmentation/train.txt", _VOC, "VOC 2012")
    sbd = _holding(plan.root, "cls", _SBD, "SBD")
    lists = {s: read_lines(voc / f"ImageSets/Segmentation/{s}.txt") for s in ("train", "val")}
    of_voc = set(lists["train"]) | set(lists["val"])
    of_sbd = {stem for s in ("train", "val") for stem in read_lines(sbd / f"{s}.txt")}
    lists["train_aug"] = sorted((of_voc | of_sbd) - set(lists["val"]))
    lists["trainval_aug"] = [*lists["train_aug"], *lists["val"]]
    voc_info, sbd_info = sources.info("pascal_voc"), sources.info("sbd")
    for stem in sorted(of_voc | of_sbd):
        if stem in of_voc:
            mask, info, image = voc / f"SegmentationClass/{stem}.png", voc_info, None
        else:
            mask, info, image = sbd / f"cls/{stem}.mat", sbd_info, sbd / f"img/{stem}.jpg"
        plan.make(f"VOCAug/cls_aug/{stem}.png", _as_png, mask, info)
        if image is None or not image.is_file():
            image = voc / f"JPEGImages/{stem}.jpg"
        plan.link(f"VOCAug/img_aug/{stem}.jpg", image)
    for split, stems in lists.items():
        plan.list(f"VOCAug/{split}.txt", [f"{stem}.jpg {stem}.png" for stem in stems])


_VOC2010 = ("VOCdevkit/VOC2010", "VOC2010", ".")
_DETAIL = "trainval_merged.json"


def context(plan):
    """Pascal Context: trainval/*.mat (or trainval_merged.json) -> Labels_59/*.png, lists.

    Images are those of VOC 2010. File values are 0 = background and whatever is none of the 59
    classes, 1 .. 59. With the .mat files the lists are VOC 2010's as far as there are labels; with
    the JSON file of the Detail API alone they are its own.
    """
    folders = [plan.root / place / "trainval" for place in (".", "VOCdevkit/VOC2010", "VOC2010")]
    folders = [folder for folder in folders if folder.is_dir()]
    detail = [plan.root / place / _DETAIL for place in (".", "VOCdevkit/VOC2010", "VOC2010")]
    detail = [file for file in detail if file.is_file()]
    if detail and not folders:
        _context_of_json(plan, detail[0])
    else:
        _context_of_mat(plan, folders)


def _context_of_mat(plan, folders):
    voc = _holding(plan.root, "ImageSets/Main/train.txt", _VOC2010, "VOC 2010")
    labels = folders[0] if folders else find(plan.root, "trainval", _DETAIL)
    info = sources.info("pascal_context")
    for split in ("train", "val"):
        stems = [s.split()[0] for s in read_lines(voc / f"ImageSets/Main/{split}.txt")]
        stems = [stem for stem in stems if (labels / f"{stem}.mat").is_file()]
        if not stems:
            raise MXNetSegError(
                f"{labels} holds no labels of the split '{split}'; unpack them all."
            )
        for stem in stems:
            plan.make(f"Labels_59/{stem}.png", _context, labels / f"{stem}.mat", info)
            plan.link(f"JPEGImages/{stem}.jpg", voc / f"JPEGImages/{stem}.jpg")
        plan.list(f"{split}.txt", stems)


def _context_of_json(plan, file):
    """Masks as the Detail API draws them: in the order of the file, later ones on top."""
    tools = needs("pycocotools", "pycocotools.mask")
    voc = _holding(plan.root, "JPEGImages", _VOC2010, "VOC 2010")
    info = sources.info("pascal_context")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        records = sorted(content["images"], key=lambda r: r["file_name"])
        areas = collections.defaultdict(list)
        for area in content["annos_segmentation"]:
            areas[area["image_id"]].append((area["category_id"], area["segmentation"]))
        for split in ("train", "val"):
            stems = []
            for record in (r for r in records if r["phase"] == split):
                stem = record["file_name"].rsplit(".", 1)[0]
                stems.append(stem)
                size = record["height"], record["width"]
                parts = areas[record["image_id"]]
                plan.make(f"Labels_59/{stem}.png", _context_drawn, tools, size, parts, info)
                plan.link(f"JPEGImages/{stem}.jpg", voc / f"JPEGImages/{stem}.jpg")
            plan.list(f"{split}.txt", stems)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MXNetSegError(
            f"{file} is not that of the Detail API ({error!r}); download it again."
        ) from None


def _context_drawn(tools, size, parts, info):
    raw = np.zeros(size, np.uint16)
    for category, shape in parts:
        raw[coco.area(tools, shape, size)] = category
    return png(file_values(masks.to_classes("mask", raw, info.labels[""])))


def _holding(root, file, places, title):
    """The first of ``places`` below ``root`` that holds ``file``."""
    for place in places:
        if (root / place / file).exists():
            return root / place
    shown = ", ".join(p for p in places if p != ".")
    raise MXNetSegError(f"{root} holds no {title} ({shown}, with {file}); unpack it there.")


def _as_png(path, info):
    labels = masks.read_labels(path, info.labels[""])
    masks.to_classes(path, labels, info.labels[""])
    return png(labels)


def _context(path, info):
    raw = mat(path, "LabelMap")
    return png(file_values(masks.to_classes(path, raw.astype("uint16"), info.labels[""])))
