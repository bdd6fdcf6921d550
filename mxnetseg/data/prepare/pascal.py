"""The Pascal family: VOC with SBD's masks, and Pascal Context."""

from ...errors import MXNetSegError
from .. import files, spec
from .plan import file_values, find, mat, png, read_lines

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
    voc_info, sbd_info = spec.info("pascal_voc"), spec.info("sbd")
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


def context(plan):
    """Pascal Context: trainval/*.mat and VOC 2010 -> Labels_59/*.png, train.txt, val.txt.

    File values are 0 = background and whatever is none of the 59 classes, 1 .. 59. The lists are
    VOC 2010's as far as there are labels.
    """
    voc = _holding(
        plan.root, "ImageSets/Main/train.txt", ("VOCdevkit/VOC2010", "VOC2010", "."), "VOC 2010"
    )
    labels = find(plan.root, "trainval", "VOCdevkit/VOC2010/trainval", "VOC2010/trainval")
    info = spec.info("pascal_context")
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


def _holding(root, file, places, title):
    """The first of ``places`` below ``root`` that holds ``file``."""
    for place in places:
        if (root / place / file).exists():
            return root / place
    shown = ", ".join(p for p in places if p != ".")
    raise MXNetSegError(f"{root} holds no {title} ({shown}, with {file}); unpack it there.")


def _as_png(path, info):
    labels = files.read_labels(path, info.labels[""])
    files.to_classes(path, labels, info.labels[""])
    return png(labels)


def _context(path, info):
    raw = mat(path, "LabelMap")
    return png(file_values(files.to_classes(path, raw.astype("uint16"), info.labels[""])))
