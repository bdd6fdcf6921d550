"""Every data set of the catalog: its facts, and miniatures in the exact layouts."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg import data
from mxnetseg.data import labels, masks, sources
from mxnetseg.data.check import check
from mxnetseg.errors import MXNetSegError, UsageError

from .conftest import write_png
from .miniatures import BUILDERS, Mini

FACTS = json.loads((Path(__file__).parent / "facts.json").read_text())


def ids_of(key):
    """All label values in a mask: numbers, or RGB triples."""
    found = FACTS[key]["raw_to_train"]
    if key == "camvid32":
        return [[int(v) for v in color.split(",")] for color in found]
    return [int(raw) for raw in found]


def classes_of(key):
    """What :func:`ids_of` become."""
    return [255 if index < 0 else index for index in FACTS[key]["raw_to_train"].values()]


# -- facts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(FACTS))
def test_facts(key):
    facts, info = FACTS[key], data.info(key)
    assert list(info.classes) == facts["classes"]
    assert info.palette.dtype == np.uint8 and info.palette.tolist() == facts["palette"]
    assert list(info.void_color) == (facts["void_color"] or [0, 0, 0])
    assert list(info.scales) == facts["ms_scales_default"]
    counts = {split: part.count for split, part in info.splits.items() if part.count}
    agreed = {split: n for split, n in facts["counts"].items() if split in counts}
    assert {split: counts[split] for split in agreed} == agreed
    for name, part in info.splits.items():
        known = [counts.get(p) for p in part.concat or ()]
        assert part.count is None or not known or sum(known) == part.count, name


@pytest.mark.parametrize("key", sorted(set(FACTS) - {"camvid32"}))
def test_label_tables(key):
    info = data.info(key)
    ids = [raw if raw >= 0 else 255 for raw in ids_of(key)]  # -1 is 255 in 8 bits
    assert info.known[ids].all()
    assert info.lut[ids].tolist() == classes_of(key)
    inverse = info.inverse[: info.num_classes]
    assert inverse.tolist() == FACTS[key]["train_to_raw"]
    assert info.lut[inverse].tolist() == list(range(info.num_classes))
    others = set(np.flatnonzero(info.known)) - set(ids)
    if key == "pascal_context":
        assert others == set(range(460)) - set(ids)
    elif key == "mscoco":
        assert others == set(range(91)) - set(ids) and not info.lut[sorted(others)].any()
    else:
        assert others <= {255}


def test_names_are_found_however_they_are_spelt():
    for key in FACTS:
        assert data.info(key.upper()).name == key
    assert data.info("PascalVOCAug").name == "pascal_voc_aug"
    assert data.info("CityCoarse").name == "cityscapes_coarse"  # MXNetSeg's name
    assert len(set(data.names()) - {"synthetic"}) == len(FACTS) == 22


# -- miniatures -----------------------------------------------------------------------------------


def build(title, tmp_path):
    key, builder = BUILDERS[title]
    return key, builder(Mini(tmp_path, ids_of(key)))


@pytest.mark.parametrize("title", [t for t in BUILDERS if not t.startswith("mscoco")])
def test_miniature(title, tmp_path):
    key, names = build(title, tmp_path)
    expected = classes_of(key)
    if min(ids_of(key)[-1:], default=0) == -1 or key.startswith("cityscapes"):
        expected = expected[:-1]  # license plate is in no file
    for split, wanted in names.items():
        ds = data.create(key, split, tmp_path)
        if isinstance(wanted, int):
            assert len(ds) == wanted
        else:
            assert ds.names == wanted
        sample = ds[0]
        assert sample.name == ds.names[0] and sample.image.dtype == np.uint8
        if ds.info.splits[split].labels == "none":
            assert sample.mask is None and not ds.has_masks
            continue
        assert sample.mask.dtype == np.uint8 and sample.mask.shape == sample.image.shape[:2]
        assert sample.mask.tolist() == [expected, expected]
    report = check(key, root=tmp_path)
    assert not report.findings, report.as_text()
    assert {part.split for part in report.splits} <= set(names) and report.splits[0].images
    assert sum(report.splits[0].pixels) > 0


@pytest.mark.parametrize("title", sorted(BUILDERS))
def test_faulty_miniature(title, tmp_path):
    """An image that is cut off, and a mask that is missing: both are reported."""
    if title.startswith(("mhp", "mscoco")):
        pytest.skip("has its own test")
    key, names = build(title, tmp_path)
    image = (
        tmp_path
        / data.create(key, "train_aug" if "train" not in names else "train", tmp_path).names[0]
    )
    image.write_bytes(image.read_bytes()[:-30])
    assert {"truncated", "unreadable"} & {f.kind for f in check(key, root=tmp_path).errors}
    ds = data.create(key, "train_aug" if "train" not in names else "train", tmp_path)
    with pytest.raises(data.DataError, match=image.name):
        ds[0]
    mask = Path(ds.pairs[0].mask)
    mask.unlink()
    if len(ds) > 1:
        found = {f.kind for f in check(key, root=tmp_path).errors}
        assert "no mask" in found
        with pytest.raises(MXNetSegError, match="no mask"):
            data.create(key, ds.split, tmp_path)


def test_exclusions(tmp_path):
    build("cityscapes_coarse: official", tmp_path)
    report = check("cityscapes_coarse", root=tmp_path)
    assert not report.findings
    ds = data.create("cityscapes_coarse", "train_extra", tmp_path)
    assert len(ds) == 1 and "troisdorf" not in ds.names[0]
    facts = FACTS["gtav"]["excluded_ids"]
    assert data.info("gtav").spec.exclude == [f"{n:05d}" for n in facts]
    assert data.info("siftflow").spec.exclude == FACTS["siftflow"]["unannotated"]


# -- options --------------------------------------------------------------------------------------


def test_options_are_checked():
    with pytest.raises(UsageError, match="Unknown option of CamVid 'ordre'. Did you mean order"):
        data.info("camvid", ordre="sanet")
    with pytest.raises(UsageError, match="Unknown value of the option 'order' .* 'sanett'"):
        data.info("camvid", order="sanett")
    for key in data.names():
        for option, values in data.info(key).spec.options.items():
            for value in values:
                if key == "camvid32" and option == "order" and value != "segnet":
                    with pytest.raises(UsageError, match="there is no class"):
                        data.info(key, **{option: value})
                else:
                    assert data.info(key, **{option: value}).num_classes
    # Options are told from the values of other options.
    assert data.info("camvid32", classes="grouped", order="sanet").classes[0] == "bicyclist"


def test_camvid_orders():
    usual, other = data.info("camvid"), data.info("camvid", order="sanet")
    assert sorted(usual.classes) == list(other.classes)
    for index, name in enumerate(other.classes):
        raw = usual.classes.index(name)
        assert other.lut[raw] == index and other.inverse[index] == raw
        assert np.array_equal(other.palette[index], usual.palette[raw])
    semseg = data.info("camvid", order="semseg").classes
    assert semseg[:3] == ("building", "tree", "sky") and other.lut[11] == 255


@pytest.mark.parametrize(
    "classes, fact",
    [("grouped", "colour_to_camvid11"), ("leading", "colour_to_camvid11_leading_only")],
)
def test_camvid32_as_11_classes(tmp_path, classes, fact):
    build("camvid32: official", tmp_path)
    ds = data.create("camvid32", "train", tmp_path, classes=classes)
    assert list(ds.info.classes) == FACTS["camvid"]["classes"]
    table = FACTS["camvid32"][fact]
    keys = FACTS["camvid32"]["raw_to_train"]
    expected = [table.get(color, -1) % 256 for color in keys]
    assert ds[0].mask[0].tolist() == expected
    assert not check("camvid32", root=tmp_path, classes=classes).findings
    order = data.create("camvid32", "train", tmp_path, classes=classes, order="sanet")
    names = [FACTS["camvid"]["classes"][i] if i < 255 else None for i in expected]
    assert [order.info.classes[i] if i < 255 else None for i in order[0].mask[0]] == names


def test_unknown_colours_are_ignored_and_reported(tmp_path):
    build("camvid32: official", tmp_path)
    ds = data.create("camvid32", "train", tmp_path)
    colors = np.array([[[1, 2, 3], [128, 0, 0]]])
    write_png(Path(ds.pairs[0].mask), colors)
    write_png(Path(ds.pairs[0].image), colors)
    assert ds[0].mask.tolist() == [[255, 4]]
    report = check("camvid32", root=tmp_path)
    assert report.ok and [f.kind for f in report.warnings] == ["unknown label"]
    assert "(1, 2, 3) (50 % of the pixels)" in report.warnings[0].problem


def test_cocostuff_171_and_164k(tmp_path):
    info = data.info("cocostuff", classes=171)
    facts = FACTS["cocostuff"]
    assert info.num_classes == 171 and info.inverse[:171].tolist() == facts["171_to_raw"]
    for raw, index in facts["raw_to_171"].items():
        assert info.lut[int(raw)] == index % 256
    m = Mini(tmp_path, [*range(182), 255])
    for split in ("train2017", "val2017"):
        m.image(f"{split}/000000000009.jpg")
        m.mask(f"annotations/{split}/000000000009.png")
    ds = data.create("cocostuff", "val", tmp_path)
    assert ds.names == ["val2017/000000000009.jpg"]
    assert ds[0].mask[0].tolist() == [*range(182), 255]
    few = data.create("cocostuff", "val", tmp_path, classes=171)[0].mask[0]
    assert few.tolist() == info.lut[[*range(1, 183), 0]].tolist()
    assert check("cocostuff", root=tmp_path).splits[0].count == "partial: 1 of 118287"


def test_backgrounds(tmp_path):
    facts = FACTS["mhp_v1"]["with_background"]
    info = data.info("mhp_v1", background="class")
    assert list(info.classes) == facts["classes"]
    assert [info.lut[int(r)] for r in facts["raw_to_train"]] == list(facts["raw_to_train"].values())
    assert data.info("aeroscapes", background="ignore").lut[:12].tolist() == [255, *range(11)]
    sixty = data.info("pascal_context", background="class")
    assert sixty.num_classes == 60 and sixty.lut[[0, 1, 2, 459]].tolist() == [0, 0, 1, 0]
    assert not sixty.known[460]
    # The files of MXNetSeg, with 59 and with 60 classes.
    m = Mini(tmp_path, range(60))
    m.lines("train.txt", ["2008_000002"])
    m.image("JPEGImages/2008_000002.jpg")
    m.mask("Labels_59/2008_000002.png")
    mask = data.create("pascal_context", "train", tmp_path)[0].mask[0]
    table = FACTS["pascal_context"]["file_value_to_train"]
    assert mask.tolist() == [table[str(v)] % 256 for v in range(60)]
    mask = data.create("pascal_context", "train", tmp_path, background="class")[0].mask[0]
    assert mask.tolist() == list(range(60))


def test_pascal_context_names_fit_the_files():
    """MXNetSeg's names are in another order than its own files."""
    info = data.info("pascal_context")
    assert list(info.classes) == sorted(info.classes)
    assert info.labels["file"].lut[[0, 1, 2, 59]].tolist() == [255, 0, 1, 58]


def test_mhp(tmp_path):
    build("mhp_v1: official", tmp_path)
    info = data.info("mhp_v1")
    swapped = {8: 9, 9: 8, 11: 12, 12: 11, 13: 14, 14: 13}
    assert info.mirror.tolist() == [swapped.get(i, i) for i in range(256)]
    with_background = data.info("mhp_v1", background="class").mirror
    assert with_background[[9, 10, 12, 13, 14, 15]].tolist() == [10, 9, 13, 12, 15, 14]
    assert data.info("camvid").mirror is None
    # The first person wins.
    annotations = tmp_path / "LV-MHP-v1/annotations"
    write_png(annotations / "0001_02_01.png", np.array([[0, 3, 3, 0]]))
    write_png(annotations / "0001_02_02.png", np.array([[5, 5, 0, 0]]))
    write_png(tmp_path / "LV-MHP-v1/images/0001.jpg", np.zeros((1, 4, 3)))
    ds = data.create("mhp_v1", "train", tmp_path)
    assert len(ds.pairs[0].parts) == 2
    assert ds[0].mask.tolist() == [[4, 2, 2, 255]]
    image, mask, _ = data.create("mhp_v1", "train", tmp_path, short_edge=768)[0]
    assert image.shape == (768, 3072, 3) and mask.shape == (768, 3072)
    write_png(annotations / "0001_02_02.png", np.array([[5, 5, 0]]))
    with pytest.raises(data.DataError, match="0001_02_02.png is 3x1 pixels"):
        ds[0]
    (annotations / "0002_02_01.png").unlink()
    (annotations / "0002_02_02.png").unlink()
    with pytest.raises(data.DataError, match=r"0002.jpg has no mask .*0002_\*_\*.png"):
        data.create("mhp_v1", "train", tmp_path)


def test_mhp_has_a_truncated_image(tmp_path):
    """As distributed: it is decoded as far as it goes, and the check says so."""
    build("mhp_v1: official", tmp_path)
    for image in (tmp_path / "LV-MHP-v1/images").glob("*.jpg"):
        if image.name > "0002.jpg":
            image.unlink()
    (tmp_path / "LV-MHP-v1/train_list.txt").write_text("0001.jpg\n0002.jpg\n")
    (tmp_path / "LV-MHP-v1/test_list.txt").unlink()
    path = tmp_path / "LV-MHP-v1/images/0002.jpg"
    picture = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)
    picture = cv2.GaussianBlur(picture, (0, 0), 2)
    content = cv2.imencode(".jpg", picture)[1].tobytes()
    whole = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    path.write_bytes(content[: len(content) // 2])
    for person in ("01", "02"):
        write_png(
            tmp_path / f"LV-MHP-v1/annotations/0002_02_{person}.png", np.ones((200, 300), np.uint8)
        )
    dataset = data.create("mhp_v1", "train", tmp_path)
    for read in (dataset, data.ReducedJpeg(dataset), data.Cached(dataset)):
        image = read[1].image
        assert image.shape == (200, 300, 3)
        assert np.array_equal(image[:80], whole[:80]) and np.ptp(image[-40:]) == 0
    report = check("mhp_v1", root=tmp_path)
    assert report.ok and [f.kind for f in report.warnings] == ["truncated"]
    assert report.warnings[0].file == str(path)
    path.write_bytes(content[:100])  # not even the header
    with pytest.raises(data.DataError, match="0002.jpg is damaged"):
        data.create("mhp_v1", "train", tmp_path)[1]


def test_weizmann_masks_of_another_size(tmp_path):
    """rgb/ and figure_ground/ differ in size; gray/ fits."""
    database = tmp_path / "weizmann_horse_db"
    mask = np.zeros((30, 40), np.uint8)
    mask[10:, 20:] = 255
    for i in range(5):
        write_png(database / f"figure_ground/horse{i}.png", mask)
        write_png(database / f"rgb/horse{i}.png", np.full((61, 80, 3), i))
    for options in ({}, {"images": "rgb"}):  # without gray/
        dataset = data.create("weizmann_horses", "train", tmp_path, **options)
        image, found, _ = data.ReducedJpeg(dataset).reduced(0, lambda h, w: 1)
        assert image.shape == (61, 80, 3) and found.shape == (61, 80)
        assert found.sum() == (61 - 20) * 40 and found[-1, -1] == 1 and found[-1, 39] == 0
    report = check("weizmann_horses", root=tmp_path)
    assert report.ok and [f.kind for f in report.warnings] == ["resized mask"] * 2
    assert "4 of 4 masks of the split 'train' have another size" in report.as_text()
    write_png(database / "rgb/horse0.png", np.zeros((60, 90, 3)))
    assert [f.kind for f in check("weizmann_horses", root=tmp_path).errors] == ["size"]
    for i in range(5):
        write_png(database / f"gray/horse{i}.png", np.full((30, 40), i))
    sample = data.create("weizmann_horses", "train", tmp_path)[0]
    assert sample.name.startswith("weizmann_horse_db/gray") and sample.image.shape == (30, 40, 3)
    assert not check("weizmann_horses", root=tmp_path).findings
    colour = data.create("weizmann_horses", "train", tmp_path, images="rgb")
    assert colour.names[0].startswith("weizmann_horse_db/rgb")


def test_the_example_in_the_docs_is_the_real_one():
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs/development.md").read_text(encoding="utf-8")
    assert (root / "mxnetseg/data/catalog/aeroscapes.yaml").read_text(encoding="utf-8") in page
    example = page.split("```python\n@layout(")[1].split("```")[0].rstrip()
    assert f"@layout({example}\n" in Path(__file__).with_name("miniatures.py").read_text()


def test_folds():
    """Five parts that cover everything; the same for everybody."""
    from mxnetseg.data.layout import _dealt

    images = {f"images/{i:07d}.jpg": {} for i in range(715)}
    seen = []
    for fold in range(5):
        info = data.info("stanford_background", fold=fold)
        layout = next(lay for lay in info.spec.layouts if lay.divide)
        val = set(_dealt(layout, "val", info, images))
        assert len(val) == 143 and not val & set(_dealt(layout, "train", info, images))
        seen += val
    assert sorted(seen) == sorted(images)
    first = data.info("stanford_background")
    assert sorted(_dealt(layout, "val", first, images))[:2] == FIRST_OF_FOLD_0


FIRST_OF_FOLD_0 = ["images/0000003.jpg", "images/0000006.jpg"]


def test_mscoco(tmp_path):
    build("mscoco: prepared", tmp_path)
    with pytest.raises(MXNetSegError, match="000000000010.jpg has no mask"):
        data.create("mscoco", "train", tmp_path)
    # The list of the images that are kept, or nothing else in the folder.
    (tmp_path / "masks/train2017.txt").write_text("000000000009.jpg\n")
    assert data.create("mscoco", "train", tmp_path).names == ["train2017/000000000009.jpg"]
    for folder in ("train2017", "val2017"):
        (tmp_path / folder / "000000000010.jpg").unlink()
    assert data.create("mscoco", "val", tmp_path)[0].mask[0].tolist() == list(range(21))


def test_what_must_be_prepared_is_said(tmp_path):
    with pytest.raises(MXNetSegError, match="mxnetseg prepare nyuv2"):
        data.create("nyuv2", "train", tmp_path)
    with pytest.raises(MXNetSegError, match="mxnetseg prepare nyuv2"):
        check("nyuv2", root=tmp_path)


def test_nyuv2_raw_labels(tmp_path):
    labels = data.info("nyuv2").labels["raw894"]
    facts = FACTS["nyuv2"]["raw894_to_40"]
    assert labels.wide and labels.lut[1:895].tolist() == [v - 1 for v in facts]
    assert labels.lut[0] == 255 and not labels.known[895]
    import cv2

    raw = np.tile(np.arange(895, dtype=np.uint16), (2, 1))
    cv2.imwrite(str(tmp_path / "m.png"), raw)
    write_png(tmp_path / "i.png", np.zeros((*raw.shape, 3)))
    (tmp_path / "l.txt").write_text("i.png m.png")
    ds = data.create("nyuv2", "train", tmp_path, list="l.txt", form="raw894")
    assert ds[0].mask[1].tolist() == [255] + [v - 1 for v in facts]
    raw[0, 0] = 900
    cv2.imwrite(str(tmp_path / "m.png"), raw)
    with pytest.raises(data.DataError, match="the label 900"):
        ds[0]
    with pytest.raises(data.DataError, match="16-bit"):
        data.create("nyuv2", "train", tmp_path, list="l.txt")[0]


def test_gtav_35(tmp_path):
    build("gtav: SANet", tmp_path)
    ds = data.create("gtav", "train", tmp_path, classes=35)
    assert ds.info.num_classes == 35
    assert sorted(ds[0].mask[0].tolist()) == list(range(35))


# -- odd files ------------------------------------------------------------------------------------


def _config(colors):
    return json.dumps({"labels": [{"name": "x", "color": c, "evaluate": True} for c in colors]})


def test_mapillary_config(tmp_path):
    build("mapillary: official", tmp_path)
    colors = [[i, 2, 3] for i in range(66)]
    (tmp_path / "config.json").write_text(_config(colors))
    ds = data.create("mapillary", "train", tmp_path)
    assert ds.info.palette.tolist() == colors[:65]
    assert data.info("mapillary").palette.tolist() == FACTS["mapillary"]["palette"]
    (tmp_path / "config.json").write_text(_config([[0, 0, 0]] * 124))
    with pytest.raises(MXNetSegError, match="lists 124 labels, but Mapillary.* has 66"):
        data.create("mapillary", "train", tmp_path)
    with pytest.raises(MXNetSegError, match="lists 124 labels"):
        check("mapillary", root=tmp_path)
    (tmp_path / "config_v1.2.json").write_text(_config(colors))
    assert data.create("mapillary", "train", tmp_path).info.palette[7].tolist() == [7, 2, 3]
    (tmp_path / "config_v1.2.json").write_text("{}")
    with pytest.raises(MXNetSegError, match="is not the configuration"):
        data.create("mapillary", "train", tmp_path)


def test_mapillary_pairs_by_name(tmp_path):
    _, names = build("mapillary: official", tmp_path)
    shutil.copy(str(tmp_path / names["train"][0]), str(tmp_path / "training/images/a.jpg"))
    with pytest.raises(MXNetSegError, match="a.jpg has no mask"):
        data.create("mapillary", "train", tmp_path)


@pytest.mark.parametrize(
    "grey, expected",
    [([0, 1], [0, 1]), ([0, 255], [0, 1]), ([127, 128], [0, 1]), ([0, 0], [0, 0])],
)
def test_threshold(tmp_path, grey, expected):
    info = data.info("weizmann_horses")
    for mask in (np.array([grey]), np.repeat(np.array([grey])[..., None], 3, -1)):
        write_png(tmp_path / "m.png", mask)
        assert masks.read_mask(tmp_path / "m.png", info).tolist() == [expected]
    write_png(tmp_path / "m.png", [[0, 1, 2]])
    with pytest.raises(data.DataError, match="the label 2 .* 0 and 1, or grey with a bright part"):
        masks.read_mask(tmp_path / "m.png", info)


def test_matlab_files(tmp_path):
    scipy_io = pytest.importorskip("scipy.io")
    labels = data.info("sbd").labels[""]
    path = tmp_path / "x.mat"
    scipy_io.savemat(str(path), {"GTcls": {"Boundaries": 3}})
    with pytest.raises(data.DataError, match=r"holds no array GTcls.Segmentation \(it has GTcls\)"):
        masks.read_labels(path, labels)
    path.write_bytes(b"MATLAB no more")
    with pytest.raises(data.DataError, match="is not a MATLAB file"):
        masks.read_labels(path, labels)
    scipy_io.savemat(str(path), {"GTcls": {"Segmentation": np.array([[1.5, 2]])}})
    with pytest.raises(data.DataError, match="holds fractions"):
        masks.read_labels(path, labels)
    scipy_io.savemat(str(path), {"GTcls": {"Segmentation": np.array([[21, 2]])}})
    with pytest.raises(data.DataError, match="the label 21"):
        masks.read_mask(path, data.info("sbd"))


def test_arrays_as_masks(folder):
    mask = data.create(folder, "train")[0].mask.astype(np.int64)
    (folder / "masks/train/p0.png").unlink()
    np.save(str(folder / "masks/train/p0.npy"), np.where(mask == 255, -1, mask))
    text = (folder / "classes.yaml").read_text()
    layouts = "layouts: [{image: 'images/{split}/{stem}.png', mask: 'masks/{split}/{stem}.npy'}]\n"
    (folder / "classes.yaml").write_text(text + layouts)
    for path in (folder / "images/train").iterdir():
        if path.stem != "p0":
            path.unlink()
    assert np.array_equal(data.create(folder, "train")[0].mask, mask)
    (folder / "masks/train/p0.npy").write_bytes(b"\x93NUMPY broken")
    assert [f.kind for f in check(folder, split="train").errors] == ["unreadable"]


# -- lists and forms ------------------------------------------------------------------------------


def test_semseg_lists(tmp_path):
    m = Mini(tmp_path, [*range(150), 255])
    m.image("images/training/a.jpg")
    m.mask("annotations/training/a.png")
    m.lines("list/training.txt", ["images/training/a.jpg annotations/training/a.png"])
    mask = data.create("ade20k", "train", tmp_path, list="list/training.txt", form="shifted")[
        0
    ].mask
    assert mask[0].tolist() == [*range(150), 255]
    with pytest.raises(UsageError, match="Unknown form of the labels of ADE20K 'shiftet'"):
        data.create("ade20k", "train", tmp_path, form="shiftet")
    with pytest.raises(UsageError, match="Unknown form .* 'train_ids'"):
        data.create("camvid", "train", tmp_path, form="train_ids")


def test_cityscapes_train_ids(tmp_path):
    """semseg's lists name labelTrainIds, SANet's labelIds: the file's name decides."""
    train_ids = [*range(19), 255]
    m = Mini(tmp_path, train_ids)
    BUILDERS["cityscapes: official"][1](m, ids=train_ids, suffix="labelTrainIds")
    ds = data.create("cityscapes", "train", tmp_path)
    assert ds.pairs[0].form == "train_ids" and ds[0].mask[0].tolist() == train_ids
    line = f"{ds.names[0]} {Path(ds.pairs[0].mask).relative_to(tmp_path)}"
    m.lines("list/fine_train.txt", [line])
    elsewhere = tmp_path / "elsewhere"
    for given in ("list/fine_{split}.txt", str(tmp_path / "list/fine_train.txt")):
        ds = data.create("cityscapes", "train", tmp_path, list=given)
        assert len(ds) == 1 and ds[0].mask[0].tolist() == train_ids
    raw = line.replace("labelTrainIds", "labelIds")
    m.mask(raw.split()[1], [7] * 20)
    m.lines("own.lst", [raw.replace(" ", "\t")])
    ds = data.create("cityscapes", "mine", tmp_path, list={"mine": "own.lst"})
    assert ds[0].mask[0].tolist() == [0] * 20
    with pytest.raises(MXNetSegError, match="'train' of Cityscapes is not in"):
        data.create("cityscapes", "train", tmp_path, list=str(elsewhere))
    # Test lists have one column.
    m.image("leftImg8bit/test/x.png")
    m.lines("fine_test.txt", ["leftImg8bit/test/x.png"])
    assert data.create("cityscapes", "test", tmp_path, list="fine_test.txt")[0].mask is None
    report = check("cityscapes", split="train", root=tmp_path, list="list/fine_train.txt")
    assert report.ok and report.splits[0].count == "-"


def test_lists_for_own_data(folder):
    lines = [f"images/train/p{i}.png masks/train/p{i}.png" for i in (2, 0)]
    (folder / "few.txt").write_text("\n".join(lines))
    ds = data.create(folder, "train", list="few.txt")
    assert ds.names == ["images/train/p2.png", "images/train/p0.png"]
    assert np.array_equal(ds[1].mask, data.create(folder, "train")[0].mask)


def test_options_in_own_yaml(folder):
    text = "classes: [wall, floor, tree]\noptions:\n  trees: {keep: {}, drop: {drop: [tree]}}\n"
    (folder / "classes.yaml").write_text(text)
    assert data.create(folder, "train").info.num_classes == 3
    ds = data.create(folder, "train", trees="drop")
    assert ds.info.classes == ("wall", "floor")
    assert np.array_equal(ds[0].mask == 255, data.create(folder, "train")[0].mask > 1)
    with pytest.raises(UsageError, match="Unknown option .* 'tree'. Did you mean trees"):
        data.create(folder, "train", tree="drop")
    (folder / "classes.yaml").write_text("classes: [wall]\noptions: [a]\n")
    with pytest.raises(UsageError, match="'options' must map"):
        data.create(folder, "train")


@pytest.mark.parametrize(
    "text, message",
    [
        ("classes: [a]\ndrop: [b]\n", "there is no class 'b'"),
        ("classes: [a]\ndrop: [a]\n", "no class is left"),
        ("classes: [a, b]\nmirror: [[a, c]]\n", "there is no class 'c'"),
        ("classes: [a, b]\nforms: {x: {raw: [1]}}\n", "one entry for each class"),
        ("classes: [a]\nforms: {x: {first: 1}}\n", "Unknown key 'forms.x.first'"),
        ("classes: [{name: a, raw: x-9}]\n", "'x-9' of 'a' is no range"),
        ("classes: [a]\nlayouts: [{image: '{stem}.png', form: x}]\n", "names the form 'x'"),
        ("classes: [a]\nlayouts: [{image: '{stem}.png', divide: folds}]\n", "divided by 'folds'"),
    ],
)
def test_wrong_yaml(folder, text, message):
    (folder / "classes.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        data.create(folder, "train")
    assert "\n" not in str(error.value)


def test_ranges_of_label_values():
    content = {
        "classes": [{"name": "a", "raw": [3, "0-9"]}, {"name": "b", "raw": 5}],
        "ignore": ["0-20"],
    }
    info = labels.describe("x", sources.parse_spec(content, "x"))
    assert info.lut[[0, 3, 4, 5, 9, 10, 20]].tolist() == [0, 0, 0, 1, 0, 255, 255]
    assert not info.known[21] and info.inverse[:2].tolist() == [3, 5]


# -- what others do within the facts --------------------------------------------------------------


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda stems: "\r\n".join(stems),
        lambda stems: "\ufeff" + "".join(f"{stem}  \n\n" for stem in stems),
        lambda stems: "".join(f"{stem}.jpg\n" for stem in stems),
        lambda stems: "".join(f"./{stem}\n" for stem in stems),
    ],
    ids=["windows", "byte order mark", "file names", "dots"],
)
def test_lists_however_they_are_written(tmp_path, rewrite):
    _, names = build("pascal_voc: official", tmp_path)
    for path in tmp_path.rglob("ImageSets/Segmentation/*.txt"):
        path.write_bytes(rewrite(path.read_text().split()).encode())
    for split, wanted in names.items():
        dataset = data.create("pascal_voc", split, tmp_path)
        assert dataset.names == wanted
        assert (dataset[0].mask is None) == (split == "test")


def test_lists_of_stems_where_file_names_are_expected(folder):
    names = data.create(folder, "train").names
    (folder / "list.txt").write_text("".join(f"images/train/{Path(n).stem}\n" for n in names))
    (folder / "data.yaml").write_text(
        "classes: [wall, floor, tree]\nsplits: {train: {labels: none}}\n"
        "layouts: [{list: list.txt, image: '{0}'}]\n"
    )
    assert data.create(folder / "data.yaml", "train").names == names


def test_a_split_of_others_may_have_a_list_of_its_own(tmp_path):
    build("pascal_voc: official", tmp_path)
    (path,) = tmp_path.rglob("ImageSets/Segmentation/train.txt")
    lists = [path.with_name(f"{split}.txt").read_text().split() for split in ("train", "val")]
    order = sorted(sum(lists, []), reverse=True)
    assert order != sum(lists, [])
    path.with_name("trainval.txt").write_text("\n".join(order))
    names = data.create("pascal_voc", "trainval", tmp_path).names
    assert [Path(name).stem for name in names] == order
    path.with_name("trainval.txt").unlink()
    names = data.create("pascal_voc", "trainval", tmp_path).names
    assert [Path(name).stem for name in names] == sum(lists, [])


def test_ade20k_test_images_beside_the_others(tmp_path):
    build("ade20k: official", tmp_path)
    (images,) = tmp_path.rglob("release_test/testing")
    dataset = data.create("ade20k", "test", tmp_path / "ADEChallengeData2016")
    assert len(dataset) == len(list(images.glob("*.jpg")))
    assert not any(".." in name for name in dataset.names)  # results are written under them


def test_cityscapes_coarse_validates_on_fine_labels_where_there_are_no_others(tmp_path):
    build("cityscapes_coarse: official", tmp_path)
    shutil.rmtree(tmp_path / "gtCoarse/val")
    for image in (tmp_path / "leftImg8bit/val").rglob("*.png"):
        name = image.name.replace("leftImg8bit", "gtFine_labelIds")
        write_png(tmp_path / f"gtFine/val/{image.parent.name}/{name}", [[7, 33]])
        write_png(image, np.zeros((1, 2, 3)))
    assert data.create("cityscapes_coarse", "val", tmp_path)[0].mask.tolist() == [[0, 18]]


def test_masks_that_must_be_made_are_said_to_be(tmp_path):
    write_png(tmp_path / "train2017/000000000009.jpg", np.zeros((4, 4, 3)))
    with pytest.raises(MXNetSegError, match="No image .* has a mask .*mxnetseg prepare mscoco"):
        data.create("mscoco", "train", tmp_path)
