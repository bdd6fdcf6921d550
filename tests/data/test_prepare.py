"""Preparations, on miniatures of what the authors distribute."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from mxnetseg import cli, data
from mxnetseg.data import prepare, sources
from mxnetseg.data.prepare import cityscapes
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.files import png

from .conftest import write_png

SIZE = (12, 16)
rng = np.random.default_rng(0)


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(str(path))


def lines(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{e}\n" for e in entries))


def mat(path, **variables):
    io = pytest.importorskip("scipy.io")
    path.parent.mkdir(parents=True, exist_ok=True)
    io.savemat(str(path), variables)


def all_values(values, size=SIZE):
    """A matrix that holds all values."""
    values = np.resize(np.asarray(list(values)), size[0] * size[1])
    return values.reshape(size)


def masks(name, split, root):
    return [sample.mask for sample in data.create(name, split, root)]


def snapshot(root):
    """Content and time of every file."""
    return {
        str(p.relative_to(root)): (p.read_bytes(), os.stat(p).st_mtime_ns)
        for p in sorted(root.rglob("*"))
        if p.is_file() and not p.is_symlink()
    }


def both_ways(name, root, tmp_path):
    """Prepare into a folder of its own, then in place; the originals stay as they are."""
    before = snapshot(root)
    first = prepare.prepare(name, root, tmp_path / "out", workers=2)
    assert snapshot(root) == before
    assert first.made > 0 and first.there == 0
    second = prepare.prepare(name, root)
    after = snapshot(root)
    assert {k: after[k] for k in before} == before
    again = prepare.prepare(name, root)
    assert again.made == 0 and again.there >= second.made and snapshot(root) == after
    assert not list(root.rglob(".prepare")) and not list((tmp_path / "out").rglob("*.part"))
    return tmp_path / "out"


@pytest.fixture
def nyu(tmp_path):
    h5py = pytest.importorskip("h5py")
    root = tmp_path / "nyu"
    root.mkdir()
    images = rng.integers(0, 256, (3, 3, 16, 12), np.uint8)  # N, channels, width, height
    labels = np.stack([all_values(range(k, 895, 5)).T for k in range(3)]).astype(np.uint16)
    with h5py.File(str(root / "nyu_depth_v2_labeled.mat"), "w") as file:
        file["images"], file["labels"] = images, labels
    mat(root / "splits.mat", trainNdxs=np.array([[3], [1]]), testNdxs=np.array([[2]]))
    return root, images, labels


def test_nyuv2(nyu, tmp_path, shared):
    root, images, labels = nyu
    out = both_ways("nyuv2", root, tmp_path)
    facts = json.loads((shared / "data/datasets.json").read_text())["datasets"]["nyuv2"]
    table = np.array([0, *facts["x_raw894_to_40"]]) - 1
    for place in (root, out):
        for split, numbers in (("train", [2, 0]), ("val", [1])):
            dataset = data.create("nyuv2", split, place)
            assert len(dataset) == len(numbers)
            for sample, n in zip(dataset, numbers):
                assert np.array_equal(sample.image, images[n].transpose(2, 1, 0))
                assert np.array_equal(sample.mask, (table[labels[n].T] % 256).astype(np.uint8))


def test_nyuv2_with_labels40(nyu, tmp_path):
    root, images, labels = nyu
    ours = np.stack([all_values(range(k, 41), labels[0].T.shape) for k in range(3)], axis=2)
    mat(root / "labels40.mat", labels40=ours.astype(np.uint8))
    prepare.prepare("nyuv2", root, tmp_path / "out")
    (mask,) = masks("nyuv2", "val", tmp_path / "out")
    assert np.array_equal(mask, (ours[..., 1] - 1) % 256)
    mat(root / "labels40.mat", labels40=ours[:, :-1])
    with pytest.raises(MXNetSegError, match="has the shape"):
        prepare.prepare("nyuv2", root, tmp_path / "other")


def test_an_interrupted_preparation_goes_on(nyu, tmp_path, monkeypatch):
    root, out = nyu[0], tmp_path / "out"
    made = []

    def stop(array):
        made.append(array)
        if len(made) > 2:
            raise KeyboardInterrupt
        return png(array)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepare.nyuv2, "png", stop)
        prepare.prepare("nyuv2", root, out, workers=1)
    with pytest.raises(MXNetSegError, match="mxnetseg prepare nyuv2"):
        data.create("nyuv2", "train", out)  # nothing half done is seen
    result = prepare.prepare("nyuv2", root, out)
    assert (result.made, result.there) == (4, 2)
    assert len(data.create("nyuv2", "train", out)) == 2


def sbd(root, stems, values=range(21)):
    for split, names in stems.items():
        lines(root / f"{split}.txt", names)
        for stem in names:
            picture(root / f"img/{stem}.jpg")
            content = {"Segmentation": all_values(values).astype(np.uint8)}
            mat(root / f"cls/{stem}.mat", GTcls=content)


def test_sbd(tmp_path):
    root = tmp_path / "SBD"
    sbd(root / "benchmark_RELEASE/dataset", {"train": ["a", "b"], "val": ["c"]})
    before = masks("sbd", "train", root)
    out = both_ways("sbd", root, tmp_path)
    for place in (root, out):
        dataset = data.create("sbd", "trainval", place)
        assert len(dataset) == 3 and dataset.pairs[0].mask.endswith(".png")
        assert all(np.array_equal(s.mask, all_values(range(21))) for s in dataset)
    assert np.array_equal(before[0], masks("sbd", "train", root)[0])


def test_pascal_voc_aug(tmp_path):
    root = tmp_path / "pascal"
    voc = root / "VOCdevkit/VOC2012"
    lines(voc / "ImageSets/Segmentation/train.txt", ["t1", "t2\r"])
    lines(voc / "ImageSets/Segmentation/val.txt", ["v1", "v2"])
    for stem in ("t1", "t2", "v1", "v2", "s1", "s2"):
        picture(voc / f"JPEGImages/{stem}.jpg")
    palette = data.voc_palette(256)
    for stem in ("t1", "t2", "v1", "v2"):
        write_png(voc / f"SegmentationClass/{stem}.png", all_values([5, 255]), palette)
    sbd(root / "benchmark_RELEASE/dataset", {"train": ["s1", "v1", "t1"], "val": ["s2"]}, [7])
    out = both_ways("pascal_voc_aug", root, tmp_path)
    for place in (root, out):
        stems = {}
        for split in ("train", "val", "train_aug", "trainval_aug"):
            dataset = data.create("pascal_voc_aug", split, place)
            stems[split] = [os.path.basename(n)[:-4] for n in dataset.names]
        assert stems["train"] == ["t1", "t2"] and stems["val"] == ["v1", "v2"]
        assert stems["train_aug"] == ["s1", "s2", "t1", "t2"]  # without v1 of SBD
        assert stems["trainval_aug"] == ["s1", "s2", "t1", "t2", "v1", "v2"]
        found = dict(zip(stems["train_aug"], masks("pascal_voc_aug", "train_aug", place)))
        assert set(np.unique(found["t1"])) == {5, 255}  # VOC's
        assert set(np.unique(found["s1"])) == {7}


def test_pascal_context(tmp_path, shared):
    root = tmp_path / "context"
    voc = root / "VOCdevkit/VOC2010"
    lines(voc / "ImageSets/Main/train.txt", ["2008_1  1", "2008_9"])
    lines(voc / "ImageSets/Main/val.txt", ["2008_2"])
    size = (20, 25)
    for stem in ("2008_1", "2008_2"):
        picture(voc / f"JPEGImages/{stem}.jpg", size)
        mat(root / f"trainval/{stem}.mat", LabelMap=all_values(range(460), size).astype(np.uint16))
    facts = json.loads((shared / "data/datasets.json").read_text())["datasets"]["pascal_context"]
    table = np.full(460, 255, np.uint8)
    for raw, index in facts["raw_to_train"].items():
        table[int(raw)] = index % 256
    before = masks("pascal_context", "val", root)
    out = both_ways("pascal_context", root, tmp_path)
    for place in (root, out):
        for split in ("train", "val"):
            (mask,) = masks("pascal_context", split, place)
            assert np.array_equal(mask, table[all_values(range(460), size)])
    assert np.array_equal(before[0], mask)
    written = np.array(Image.open(out / "Labels_59/2008_1.png"))
    assert written.min() == 0 and written.max() == 59


def test_pascal_context_of_the_detail_api(tmp_path):
    coder = pytest.importorskip("pycocotools.mask")
    voc = tmp_path / "VOCdevkit/VOC2010"
    images, areas = [], []
    for number, phase in ((20080001, "train"), (20080002, "val")):
        stem = f"2008_{number % 10000:06d}"
        picture(voc / f"JPEGImages/{stem}.jpg", (6, 8))
        images.append({"file_name": f"{stem}.jpg", "image_id": number, "phase": phase, "height": 6})
        images[-1]["width"] = 8
        code = coder.encode(np.asfortranarray(np.ones((6, 8), np.uint8)))
        code["counts"] = code["counts"].decode()
        for category, shape in ((1, code), (458, box(2, 1, 3, 2)), (2, box(4, 1, 1, 1))):
            areas.append({"image_id": number, "category_id": category, "segmentation": shape})
    content = {"images": images, "annos_segmentation": areas}
    (tmp_path / "trainval_merged.json").write_text(json.dumps(content))
    prepare.prepare("pascal_context", tmp_path)
    (mask,) = masks("pascal_context", "train", tmp_path)
    assert mask[1, 2:5].tolist() == [58, 58, 0] and (mask == 255).sum() == 48 - 6
    assert data.create("pascal_context", "val", tmp_path).names[0].endswith("2008_000002.jpg")
    (tmp_path / "trainval_merged.json").write_text("{}")
    with pytest.raises(MXNetSegError, match="Detail API"):
        prepare.prepare("pascal_context", tmp_path, tmp_path / "other")


def box(x, y, width, height):
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def test_mscoco(tmp_path):
    pytest.importorskip("pycocotools")
    root, size = tmp_path / "coco", (40, 60)
    for folder in ("train2017", "val2017"):
        for n in (1, 2):
            picture(root / f"{folder}/{n:012d}.jpg", size)
        counts = [40 * 50, 40 * 10]  # columns 50 .. 59, as a crowd is written
        annotations = [
            # a cat, a dog half over it, a giraffe, a crowd of persons
            {"image_id": 1, "category_id": 17, "segmentation": box(0, 0, 30, 20)},
            {"image_id": 1, "category_id": 18, "segmentation": box(10, 0, 30, 40)},
            {"image_id": 1, "category_id": 25, "segmentation": box(0, 30, 60, 10)},
            {"image_id": 1, "category_id": 1, "iscrowd": 1,
             "segmentation": {"counts": counts, "size": list(size)}},
            {"image_id": 2, "category_id": 17, "segmentation": box(0, 0, 10, 10)},
        ]  # fmt: skip
        records = [
            {"id": n, "file_name": f"{n:012d}.jpg", "height": size[0], "width": size[1]}
            for n in (1, 2, 3)  # 3 was not downloaded
        ]
        path = root / f"annotations/instances_{folder}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"images": records, "annotations": annotations}))
    out = both_ways("mscoco", root, tmp_path)
    expected = np.zeros(size, np.uint8)
    names = sources.info("mscoco").classes
    expected[:, 10:40] = names.index("dog")
    expected[:20, :30] = names.index("cat")
    expected[:, 50:] = names.index("person")
    for place in (root, out):
        for split in ("train", "val"):
            (mask,) = masks("mscoco", split, place)  # image 2 has too little foreground
            assert (mask != expected).mean() < 0.02
            assert np.array_equal(mask[5:15, 2:8], expected[5:15, 2:8])
            assert (place / f"masks/{split}2017/000000000002.png").is_file()


def test_cocostuff(tmp_path):
    root = tmp_path / "stuff"
    for split, stem in (("train", "COCO_1"), ("test", "COCO_2")):
        lines(root / f"imageLists/{split}.txt", [stem])
        picture(root / f"images/{stem}.jpg", (14, 14))
        mat(root / f"annotations/{stem}.mat", S=all_values(range(183), (14, 14)).astype(float))
    before = masks("cocostuff", "val", root)
    out = both_ways("cocostuff", root, tmp_path)
    for place in (root, out):
        dataset = data.create("cocostuff", "val", place)
        assert dataset.pairs[0].mask.endswith(".png")
        assert np.array_equal(dataset[0].mask, before[0])


def test_siftflow_and_stanford(tmp_path):
    folder = "spatial_envelope_256x256_static_8outdoorcategories"
    root = tmp_path / "sift"
    for split, stem in (("train", "coast_1"), ("val", "coast_2")):
        lines(root / f"{split}.txt", [stem])
        picture(root / f"Images/{folder}/{stem}.jpg")
        mat(root / f"SemanticLabels/{folder}/{stem}.mat", S=all_values(range(34)))
    out = both_ways("siftflow", root, tmp_path)
    for place in (root, out):
        dataset = data.create("siftflow", "val", place)
        assert dataset.pairs[0].mask.endswith("labels/coast_2.png")
        assert np.array_equal(dataset[0].mask, (all_values(range(34)) - 1) % 256)
    root = tmp_path / "stanford"
    values = all_values(range(-1, 8))
    for n in range(10):
        picture(root / f"images/{n:07d}.jpg")
        lines(root / f"labels/{n:07d}.regions.txt", [" ".join(map(str, row)) for row in values])
    before = data.create("stanford_background", "train", root).names
    out = both_ways("stanford_background", root, tmp_path / "second")
    for place in (root, out):
        dataset = data.create("stanford_background", "train", place)
        assert dataset.names == before and dataset.pairs[0].mask.endswith(".png")
        assert np.array_equal(dataset[0].mask, values % 256)


def polygons(path, objects, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"imgHeight": size[0], "imgWidth": size[1], "objects": objects}
    path.write_text(json.dumps(content))


def area(label, x0, y0, x1, y1, **more):
    return {"label": label, "polygon": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], **more}


@pytest.mark.parametrize("kind", ["gtFine", "gtCoarse"])
def test_cityscapes(tmp_path, kind):
    name = "cityscapes" if kind == "gtFine" else "cityscapes_coarse"
    split = "train" if kind == "gtFine" else "train_extra"
    root = tmp_path / "city"
    stem = f"{split}/aachen/aachen_000000_000019"
    picture(root / f"leftImg8bit/{stem}_leftImg8bit.png")
    objects = [
        area("road", 0, 6, 15, 11),
        area("cargroup", 2, 7, 5, 9),
        area("license plate", 3, 8, 4, 8),
        area("sky", 0, 0, 15, 3, deleted=1),
        area("person", 8, 0, 9, 11),
    ]
    polygons(root / f"{kind}/{stem}_{kind}_polygons.json", objects)
    out = both_ways(name, root, tmp_path)
    raw = np.zeros(SIZE, np.uint8)
    raw[6:], raw[7:10, 2:6], raw[:, 8:10] = 7, 26, 24
    for place in (root, out):
        assert np.array_equal(
            np.array(Image.open(place / f"{kind}/{stem}_{kind}_labelIds.png")), raw
        )
        (mask,) = masks(name, split, place)
        assert np.array_equal(mask, sources.info(name).lut[raw])
    polygons(root / f"{kind}/{stem}x_{kind}_polygons.json", [area("horse", 0, 0, 1, 1)])
    with pytest.raises(MXNetSegError, match="unknown label 'horse'.*what is done is kept"):
        prepare.prepare(name, root)


def test_cityscapes_ids(shared):
    facts = json.loads((shared / "data/datasets.json").read_text())["datasets"]["cityscapes"]
    assert {e["name"]: e["id"] for e in facts["x_all_labels"] if e["id"] >= 0} == cityscapes.IDS


def test_camvid_repack_twice(tmp_path):
    for folder, stem in (("train", "0001TP_006690"), ("val", "0016E5_07959")):
        picture(tmp_path / f"{folder}/{stem}.png")
        write_png(tmp_path / f"{folder}_labels/{stem}_L.png", np.full((*SIZE, 3), 128))
    assert prepare.prepare("camvid", tmp_path).made == 4
    assert prepare.prepare("camvid", tmp_path).made == 0  # its own images are none of the re-pack
    assert not masks("camvid", "val", tmp_path)[0].any()


def test_camvid(tmp_path, shared):
    facts = json.loads((shared / "data/datasets.json").read_text())["datasets"]["camvid32"]
    groups = {tuple(map(int, k.split(","))): v for k, v in facts["x_colour_to_camvid11"].items()}
    colors = np.array(list(groups), np.uint8)
    root = tmp_path / "camvid"
    frames = {"train": "0001TP_006690", "val": "0016E5_07959", "test": "Seq05VD_f00000"}
    for stem in frames.values():
        picture(root / f"701_StillsRaw_full/{stem}.png")
        order = all_values(range(32))
        write_png(root / f"LabeledApproved_full/{stem}_L.png", colors[order])
    expected = np.array(list(groups.values()))[order] % 256
    out = both_ways("camvid32", root, tmp_path)
    for split in ("train", "val", "test"):
        (mask,) = masks("camvid", split, out)
        assert np.array_equal(mask, expected)
        assert np.array_equal(masks("camvid", split, root)[0], expected)
        assert len(data.create("camvid32", split, root)) == 1  # as before


def test_sunrgbd(tmp_path):
    h5py = pytest.importorskip("h5py")
    root = tmp_path / "sun"
    toolbox = root / "SUNRGBDtoolbox"
    far = "/n/fs/sun3d/data/SUNRGBD/"
    folders = ["kv1/NYUdata/NYU0001", "kv2/a/b", "xtion/c"]
    for k, folder in enumerate(folders):
        picture(root / f"SUNRGBD/{folder}/image/x{k}.jpg")
    meta = np.array(
        [(f"{far}{f}/image/x{k}.jpg", f"x{k}.jpg") for k, f in enumerate(folders)],
        dtype=[("rgbpath", object), ("rgbname", object)],
    )
    mat(toolbox / "Metadata/SUNRGBDMeta.mat", SUNRGBDMeta=meta)
    cells = [np.array([far + f for f in part], dtype=object) for part in (folders[:2], folders[2:])]
    mat(toolbox / "traintestSUNRGBD/allsplit.mat", alltrain=cells[0], alltest=cells[1])
    labels = [all_values(range(k, 38)) for k in range(3)]
    with h5py.File(str(toolbox / "Metadata/SUNRGBD2Dseg.mat"), "w") as file:
        for k, label in enumerate(labels):
            file[f"#refs#/{k}"] = label.T.astype(np.uint8)
        references = np.array([[file[f"#refs#/{k}"].ref] for k in range(3)], dtype=h5py.ref_dtype)
        file.create_dataset("SUNRGBD2Dseg/seglabel", data=references, dtype=h5py.ref_dtype)
    out = both_ways("sunrgbd", root, tmp_path)
    for place in (root, out):
        train = masks("sunrgbd", "train", place)
        assert len(train) == 2 and np.array_equal(train[1], (labels[1] - 1) % 256)
        assert np.array_equal(masks("sunrgbd", "val", place)[0], (labels[2] - 1) % 256)
    other = np.array([(name,) for name in "abc"], dtype=[("rgbname", object)])
    mat(toolbox / "Metadata/SUNRGBDMeta.mat", SUNRGBDMeta=other)
    with pytest.raises(MXNetSegError, match="download the toolbox"):
        prepare.prepare("sunrgbd", root, tmp_path / "other")


@pytest.mark.parametrize(
    "name, message",
    [
        ("nyuv2", "nyu_depth_v2_labeled.mat"),
        ("sbd", "holds no split"),
        ("cityscapes", "gtFine"),
        ("camvid", "no colour labels"),
        ("pascal_voc_aug", "VOC 2012"),
        ("pascal_context", "VOC 2010"),
        ("mscoco", "instances_train2017|pip install pycocotools"),
        ("sunrgbd", "SUNRGBDtoolbox"),
    ],
)
def test_what_is_missing_is_named(tmp_path, name, message):
    with pytest.raises(MXNetSegError, match=message):
        prepare.prepare(name, tmp_path)


def test_wrong_names_and_packages(tmp_path, monkeypatch, capsys):
    with pytest.raises(UsageError, match="needs no preparation"):
        prepare.prepare("ade20k", tmp_path)
    with pytest.raises(UsageError, match="Did you mean nyuv2"):
        prepare.prepare("nyuv", tmp_path)
    assert cli.main(["prepare", "sbd", "--data-root", str(tmp_path / "none")]) == 1
    assert "--data-root" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(b"")
    pytest.importorskip("scipy.io").savemat(str(tmp_path / "splits.mat"), {"trainNdxs": [1]})
    with pytest.raises(MXNetSegError, match="pip install h5py"):
        prepare.prepare("nyuv2", tmp_path)


def test_a_list_that_says_something_else_is_kept(tmp_path, capsys):
    root = tmp_path / "city"
    picture(root / "images/0001TP_006690.png")
    write_png(root / "labels/0001TP_006690_L.png", np.zeros((*SIZE, 3)))
    lines(root / "train.txt", ["mine"])
    assert cli.main(["prepare", "camvid32", "--data-root", str(root)]) == 1
    assert "move it away" in capsys.readouterr().err
    assert (root / "train.txt").read_text() == "mine\n"
    out = tmp_path / "out"
    assert cli.main(["prepare", "camvid32", "--data-root", str(root), "--out", str(out)]) == 0
    assert "check --data camvid" in capsys.readouterr().out
