"""Miniatures of the data sets: the exact layout, a few small files, masks with all label values.

A builder fills a folder through :class:`Mini` and returns the names that each split must have.
"""

import numpy as np
import pytest
from PIL import Image

from .conftest import write_png

BUILDERS = {}


def layout(key, title="official"):
    """Register a builder for the data set ``key``."""

    def add(build):
        BUILDERS[f"{key}: {title}"] = (key, build)
        return build

    return add


class Mini:
    """A folder to be filled.

    Args:
        root: the folder.
        ids: the label values that every mask holds.
    """

    def __init__(self, root, ids):
        self.root, self.ids = root, list(ids)
        self.rng = np.random.default_rng(len(self.ids))

    def values(self, ids=None):
        """A mask with all label values: the same in both rows."""
        row = self.ids if ids is None else ids
        return np.array([row, row])

    def image(self, path, ids=None):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (*self.values(ids).shape[:2], 3)
        Image.fromarray(self.rng.integers(0, 256, shape).astype(np.uint8)).save(str(path))

    def mask(self, path, ids=None, palette=None):
        write_png(self.root / path, self.values(ids), palette)

    def mat(self, path, variable, ids=None, dtype=np.uint8):
        scipy_io = pytest.importorskip("scipy.io")
        first, *fields = variable.split(".")
        content = self.values(ids).astype(dtype)
        for field in reversed(fields):
            content = {field: content}
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        scipy_io.savemat(str(path), {first: content, "names": np.array(["a"], object)})

    def lines(self, path, lines, end="\n"):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(end.join(lines).encode())  # without a last newline, as some lists


PALETTE = [(i, 255 - i, i // 2) for i in range(256)]


@layout("ade20k")
def _(m, prefix="ADEChallengeData2016/"):
    names = {}
    for split, folder, n in (("train", "training", 2), ("val", "validation", 1)):
        names[split] = []
        for i in range(n):
            stem = f"ADE_{split}_{i + 1:08d}"
            m.image(f"{prefix}images/{folder}/{stem}.jpg")
            m.mask(f"{prefix}annotations/{folder}/{stem}.png")
            names[split].append(f"{prefix}images/{folder}/{stem}.jpg")
    m.image("release_test/testing/ADE_test_00000001.jpg")
    m.lines("release_test/list.txt", ["ADE_test_00000001.jpg"])
    return {**names, "test": ["release_test/testing/ADE_test_00000001.jpg"]}


def _voc(m, prefix):
    stems = {
        "train": ["2007_000032", "2007_000039"],
        "val": ["2007_000033"],
        "test": ["2008_000006"],
    }
    for split, found in stems.items():
        m.lines(f"{prefix}ImageSets/Segmentation/{split}.txt", found)
        for stem in found:
            m.image(f"{prefix}JPEGImages/{stem}.jpg")
            if split != "test":
                m.mask(f"{prefix}SegmentationClass/{stem}.png", palette=PALETTE)
    m.lines(f"{prefix}ImageSets/Segmentation/trainval.txt", stems["train"] + stems["val"])
    names = {s: [f"{prefix}JPEGImages/{stem}.jpg" for stem in found] for s, found in stems.items()}
    return {**names, "trainval": names["train"] + names["val"]}


@layout("pascal_voc")
def _(m):
    return _voc(m, "VOCdevkit/VOC2012/")


@layout("pascal_voc", "the folder VOC2012 itself")
def _(m):
    return _voc(m, "")


@layout("pascal_voc_aug")
def _(m, prefix=""):
    lists = {"train": ["a"], "val": ["c"], "train_aug": ["a", "b"], "trainval_aug": ["a", "b", "c"]}
    for stem in "abc":
        m.image(f"{prefix}img_aug/{stem}.jpg")
        m.mask(f"{prefix}cls_aug/{stem}.png")
    for split, stems in lists.items():
        end = "\r\n" if split == "train" else "\n"
        m.lines(f"{prefix}{split}.txt", [f"{s}.jpg {s}.png" for s in stems], end)
    return {split: [f"{prefix}img_aug/{s}.jpg" for s in stems] for split, stems in lists.items()}


@layout("pascal_voc_aug", "masks in VOC2012")
def _(m):
    for stem in "ab":
        m.image(f"VOC2012/JPEGImages/{stem}.jpg")
        m.mask(f"VOC2012/SegmentationClassAug/{stem}.png")
    m.lines("VOC2012/ImageSets/Segmentation/train_aug.txt", ["a", "b"])
    return {"train_aug": [f"VOC2012/JPEGImages/{stem}.jpg" for stem in "ab"]}


@layout("sbd")
def _(m):
    prefix = "benchmark_RELEASE/dataset/"
    for split, stems in (("train", ["2008_000002", "2008_000003"]), ("val", ["2008_000007"])):
        m.lines(f"{prefix}{split}.txt", stems)
        for stem in stems:
            m.image(f"{prefix}img/{stem}.jpg")
            m.mat(f"{prefix}cls/{stem}.mat", "GTcls.Segmentation")
    names = [f"{prefix}img/2008_00000{i}.jpg" for i in (2, 3, 7)]
    return {"train": names[:2], "val": names[2:], "trainval": names}


@layout("cityscapes")
def _(m, mask="gtFine", splits=("train", "val"), ids=None, suffix="labelIds"):
    ids = ids or [i for i in m.ids if i >= 0]
    names = {}
    for split in splits:
        stem = f"aachen_00000{len(names)}_000019"
        m.image(f"leftImg8bit/{split}/aachen/{stem}_leftImg8bit.png", ids)
        m.mask(f"{mask}/{split}/aachen/{stem}_{mask}_{suffix}.png", ids)
        m.mask(f"{mask}/{split}/aachen/{stem}_{mask}_color.png", ids)
        m.mask(f"{mask}/{split}/aachen/{stem}_{mask}_instanceIds.png", ids)
        names[split] = [f"leftImg8bit/{split}/aachen/{stem}_leftImg8bit.png"]
    if mask == "gtFine":
        names["trainval"] = names["train"] + names["val"]
        m.image("leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png", ids)
        m.mask("gtFine/test/bonn/bonn_000000_000019_gtFine_labelIds.png", [0] * len(ids))
        names["test"] = ["leftImg8bit/test/bonn/bonn_000000_000019_leftImg8bit.png"]
    return names


@layout("cityscapes_coarse")
def _(m):
    names = BUILDERS["cityscapes: official"][1](m, "gtCoarse", ("train_extra", "train", "val"))
    bad = "troisdorf/troisdorf_000000_000073"
    m.image(f"leftImg8bit/train_extra/{bad}_leftImg8bit.png")
    m.mask(f"gtCoarse/train_extra/{bad}_gtCoarse_labelIds.png", [0])
    ids = [i for i in m.ids if i >= 0]
    m.mask("gtFine/val/aachen/aachen_000002_000019_gtFine_labelIds.png", ids)
    return {**names, "val_fine": names["val"]}


def _frames():
    return {
        "train": ["0001TP_006690", "0016E5_08190"],
        "val": ["0016E5_07959"],
        "test": ["0001TP_008550", "Seq05VD_f00000"],
    }


@layout("camvid")
def _(m):
    for split, stems in _frames().items():
        for stem in stems:
            m.image(f"{split}/{stem}.png")
            m.mask(f"{split}annot/{stem}.png")
        lines = [
            f"/SegNet/CamVid/{split}/{s}.png /SegNet/CamVid/{split}annot/{s}.png" for s in stems
        ]
        m.lines(f"{split}.txt", lines)
    names = {split: [f"{split}/{s}.png" for s in stems] for split, stems in _frames().items()}
    return {**names, "trainval": names["train"] + names["val"]}


@layout("camvid", "MXNetSeg")
def _(m):
    for split, stems in _frames().items():
        m.lines(f"{split}.txt", [f"{s}.png\t{s}_L.png" for s in stems])
        for stem in stems:
            m.image(f"images/{stem}.png")
            m.mask(f"labelsGray/{stem}_L.png")
    return {split: [f"images/{s}.png" for s in stems] for split, stems in _frames().items()}


def _camvid32(m, image, mask):
    for split, stems in _frames().items():
        for stem in stems:
            m.image(f"{image.format(split=split)}/{stem}.png")
            write_png(m.root / mask.format(split=split, stem=stem), m.values())
    names = {
        split: [f"{image.format(split=split)}/{s}.png" for s in stems]
        for split, stems in _frames().items()
    }
    return {**names, "trainval": names["train"] + names["val"]}


@layout("camvid32")
def _(m):
    return _camvid32(m, "701_StillsRaw_full", "LabeledApproved_full/{stem}_L.png")


@layout("camvid32", "re-pack")
def _(m):
    return _camvid32(m, "{split}", "{split}_labels/{stem}_L.png")


@layout("camvid32", "PMSDSEN")
def _(m):
    return _camvid32(m, "{split}", "{split}annot/{stem}.png")


@layout("camvid32", "SANet")
def _(m):
    names = _camvid32(m, "images", "labels/{stem}_L.png")
    for split, stems in _frames().items():
        lines = [f"images/{s}.png labels/{s}_L.png" for s in reversed(stems)]
        m.lines(f"list/camvid/{split}.lst", lines)
    return {split: names[split][::-1] for split in ("train", "val", "test")}


@layout("bdd100k")
def _(m, images="bdd100k/images/10k", masks="bdd100k/labels/sem_seg/masks", suffix=""):
    names = {}
    for split in ("train", "val", "test"):
        name = f"{images}/{split}/0004a4c0-d4dff0ad.jpg"
        m.image(name)
        (m.root / images / split / "stray.txt").write_text("x")
        if split != "test":
            m.mask(f"{masks}/{split}/0004a4c0-d4dff0ad{suffix}.png")
        names[split] = [name]
    return names


@layout("bdd100k", "older package")
def _(m):
    build = BUILDERS["bdd100k: official"][1]
    return build(m, "seg/images", "seg/labels", "_train_id")


@layout("nyuv2", "prepared")
def _(m):
    for split, stems in (("train", ["2", "3"]), ("val", ["0", "1"])):
        m.lines(f"{split}.txt", stems)
        for stem in stems:
            m.image(f"images/{stem}.{'jpg' if split == 'train' else 'png'}")
            m.mask(f"labels40/{stem}.png")
    return {"train": ["images/2.jpg", "images/3.jpg"], "val": ["images/0.png", "images/1.png"]}


@layout("pascal_context")
def _(m):
    prefix = "VOCdevkit/VOC2010/"
    names = {}
    for split, stem in (("train", "2008_000002"), ("val", "2008_000003")):
        m.lines(f"{prefix}ImageSets/Main/{split}.txt", [stem])
        m.image(f"{prefix}JPEGImages/{stem}.jpg")
        m.mat(f"trainval/{stem}.mat", "LabelMap", dtype=np.uint16)
        names[split] = [f"{prefix}JPEGImages/{stem}.jpg"]
    return {**names, "trainval": names["train"] + names["val"]}


@layout("cocostuff")
def _(m):
    names = {}
    for split, n in (("train", 77), ("test", 285)):
        stem = f"COCO_train2014_{n:012d}"
        m.lines(f"imageLists/{split}.txt", [stem])
        m.image(f"images/{stem}.jpg")
        m.mat(f"annotations/{stem}.mat", "S", dtype=np.float64)
        names["val" if split == "test" else split] = [f"images/{stem}.jpg"]
    return names


@layout("mapillary")
def _(m, folders=("training", "validation", "testing"), labels="labels", config=True):
    names = {}
    for split, folder in zip(("train", "val", "test"), folders):
        name = f"{folder}/images/-0HKSGMYrtlVUIfkGUXLzQ.jpg"
        m.image(name)
        (m.root / folder / labels).mkdir(parents=True)
        if split != "test":
            m.mask(f"{folder}/{labels}/-0HKSGMYrtlVUIfkGUXLzQ.png", palette=PALETTE)
        names[split] = [name]
    return {**names, "trainval": names["train"] + names["val"]}


@layout("mapillary", "MXNetSeg")
def _(m):
    return BUILDERS["mapillary: official"][1](m, ("train", "val", "test"))


@layout("mapillary", "version 2.0")
def _(m):
    names = BUILDERS["mapillary: official"][1](m, labels="v1.2/labels")
    m.mask("training/v2.0/labels/-0HKSGMYrtlVUIfkGUXLzQ.png", [123] * len(m.ids))
    return names


@layout("aeroscapes")
def _(m):
    for split, stem in (("trn", "000001_001"), ("val", "000002_001")):
        m.lines(f"ImageSets/{split}.txt", [stem])
        m.image(f"JPEGImages/{stem}.jpg")
        m.mask(f"SegmentationClass/{stem}.png")
        m.image(f"Visualizations/{stem}.png")
    return {"train": ["JPEGImages/000001_001.jpg"], "val": ["JPEGImages/000002_001.jpg"]}


@layout("gatech", "MXNetSeg")
def _(m):
    for split, stem in (("train", "aspen_1"), ("test", "boston_2"), ("test_all", "boston_3")):
        m.lines(f"{split}.txt", [stem])
        m.image(f"images/{stem}.jpg")
        m.mask(f"labels/{stem}.png")
    test = ["images/boston_2.jpg"]
    return {
        "train": ["images/aspen_1.jpg"],
        "val": test,
        "test": test,
        "test_all": ["images/boston_3.jpg"],
    }


@layout("gatech", "folders of frames")
def _(m):
    for folder in ("Images", "Images_test"):
        m.image(f"{folder}/Original/a_1.jpg")
        m.mask(f"{folder}/Ground_Truth/a_1.png")
    test = ["Images_test/Original/a_1.jpg"]
    return {"train": ["Images/Original/a_1.jpg"], "val": test, "test": test}


@layout("mhp_v1")
def _(m):
    """Two persons: the first has the even label values, the second all of them."""
    names = [f"{n:04d}.jpg" for n in range(1, 4001)]
    m.image("LV-MHP-v1/images/0001.jpg")
    picture = (m.root / "LV-MHP-v1/images/0001.jpg").read_bytes()
    even = [i if i % 2 == 0 else 0 for i in m.ids]
    m.mask("LV-MHP-v1/annotations/0001_02_01.png", even)
    m.mask("LV-MHP-v1/annotations/0001_02_02.png")
    masks = [(m.root / f"LV-MHP-v1/annotations/0001_02_0{i}.png").read_bytes() for i in (1, 2)]
    for name in names:
        (m.root / f"LV-MHP-v1/images/{name}").write_bytes(picture)
        for i in (1, 2):
            path = m.root / f"LV-MHP-v1/annotations/{name[:4]}_02_0{i}.png"
            path.write_bytes(masks[i - 1])
    m.lines("LV-MHP-v1/train_list.txt", names)
    m.lines("LV-MHP-v1/test_list.txt", names[:2])
    paths = [f"LV-MHP-v1/images/{name}" for name in names]
    return {
        "train": paths[:3000],
        "val": paths[3000:],
        "val_mxnetseg": paths[3001:],
        "test": paths[:2],
    }


@layout("siftflow")
def _(m):
    folder = "spatial_envelope_256x256_static_8outdoorcategories"
    prefix = "SiftFlowDataset/"
    for split, stems in (("train", ["coast_a", "highway_bost181"]), ("val", ["coast_natu975"])):
        m.lines(f"{prefix}{split}.txt", stems)
        for stem in stems:
            m.image(f"{prefix}Images/{folder}/{stem}.jpg")
            if stem != "highway_bost181":
                m.mat(f"{prefix}SemanticLabels/{folder}/{stem}.mat", "S")
    return {
        "train": [f"{prefix}Images/{folder}/coast_a.jpg"],
        "val": [f"{prefix}Images/{folder}/coast_natu975.jpg"],
    }


@layout("siftflow", "MXNetSeg")
def _(m):
    for split, stem in (("train", "coast_a"), ("val", "coast_natu975")):
        m.lines(f"{split}.txt", [stem])
        m.image(f"images/{stem}.jpg")
        m.mask(f"labels/{stem}.png")
    return {"train": ["images/coast_a.jpg"], "val": ["images/coast_natu975.jpg"]}


@layout("stanford_background")
def _(m):
    stems = [f"000000{i}" for i in range(10)]
    for stem in stems:
        m.image(f"iccv09Data/images/{stem}.jpg")
        rows = [" ".join(str(v if v != 255 else -1) for v in row) for row in m.values()]
        m.lines(f"iccv09Data/labels/{stem}.regions.txt", rows)
        m.lines(f"iccv09Data/labels/{stem}.surfaces.txt", rows)
    m.lines("iccv09Data/horizons.txt", ["x 1 2 3"])
    return {"train": 8, "val": 2}


@layout("stanford_background", "MXNetSeg")
def _(m):
    for split, stem in (("train", "0000047"), ("eval", "0000051")):
        m.lines(f"{split}List.txt", [stem])
        m.image(f"images/{stem}.jpg")
        m.mask(f"labels/{stem}.png")
    return {"train": ["images/0000047.jpg"], "val": ["images/0000051.jpg"]}


@layout("sunrgbd", "MXNetSeg")
def _(m):
    m.lines("train.txt", ["img-000001.jpg img-005051.png"])
    m.lines("test.txt", ["img-005051.jpg img-000001.png"])
    for image, label in ((1, 5051), (5051, 1)):
        m.image(f"images/img-{image:06d}.jpg")
        m.mask(f"labels/img-{label:06d}.png")
    test = ["images/img-005051.jpg"]
    return {"train": ["images/img-000001.jpg"], "val": test, "test": test}


@layout("sunrgbd", "ready-made pack")
def _(m):
    for split, label in (("train", 5051), ("test", 1)):
        m.image(f"SUNRGBD-{split}_images/img-000001.jpg")
        m.mask(f"sunrgbd_train_test_labels/img-{label:06d}.png")
    test = ["SUNRGBD-test_images/img-000001.jpg"]
    return {"train": ["SUNRGBD-train_images/img-000001.jpg"], "val": test, "test": test}


@layout("weizmann_horses")
def _(m):
    for i in range(5):
        m.image(f"weizmann_horse_db/rgb/horse00{i}.jpg")
        m.mask(f"weizmann_horse_db/figure_ground/horse00{i}.jpg", [0, 255])
    return {"train": 4, "val": 1}


@layout("weizmann_horses", "grey images of the masks' size")
def _(m):
    BUILDERS["weizmann_horses: official"][1](m)
    for i in range(5):
        m.image(f"weizmann_horse_db/rgb/horse00{i}.jpg", [0, 1] * 7)  # of another shape
        m.image(f"weizmann_horse_db/gray/horse00{i}.jpg")
    return {"train": 4, "val": 1}


@layout("weizmann_horses", "MXNetSeg")
def _(m):
    for split, name in (("train", "horse001.jpg"), ("val", "horse002.jpg")):
        m.lines(f"{split}.txt", [name])
        m.image(f"horse/{name}")
        write_png(m.root / "mask" / name.replace("jpg", "png"), m.values())
    return {"train": ["horse/horse001.jpg"], "val": ["horse/horse002.jpg"]}


@layout("gtav")
def _(m):
    scipy_io = pytest.importorskip("scipy.io")
    numbers = {"train": [1, 15188], "val": [2], "test": [3, 20860]}
    for number in sum(numbers.values(), []):
        m.image(f"images/{number:05d}.png")
        m.mask(f"labels/{number:05d}.png", palette=PALETTE)
    ids = {f"{split}Ids": np.array(found)[:, None] for split, found in numbers.items()}
    scipy_io.savemat(str(m.root / "split.mat"), ids)
    names = {"train": ["images/00001.png"], "val": ["images/00002.png"]}
    return {**names, "test": ["images/00003.png"], "trainval": names["train"] + names["val"]}


@layout("gtav", "SANet")
def _(m):
    lists = {"train": [1], "trainval": [1, 2, 3], "val": [3], "test": [4]}
    for number in (1, 2, 3, 4):
        m.image(f"images/{number:05d}.png")
        m.mask(f"labels/{number:05d}.png", palette=PALETTE)
    for split, numbers in lists.items():
        lines = [f"images/{n:05d}.png labels/{n:05d}.png" for n in numbers]
        m.lines(f"list/gtav/{split}.lst", lines)
    names = [f"images/0000{i}.png" for i in (1, 2, 3)]
    return {"train": names[:2], "val": names[2:], "trainval": names, "test": ["images/00004.png"]}


@layout("mscoco", "prepared")
def _(m):
    for folder in ("train2017", "val2017"):
        ids = list(range(21))
        m.image(f"{folder}/000000000009.jpg", ids)
        m.image(f"{folder}/000000000010.jpg", ids)
        m.mask(f"masks/{folder}/000000000009.png", ids)
    return None
