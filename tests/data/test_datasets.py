"""The catalog, own data, and what is said about damaged files."""

import json
import pickle
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg import data
from mxnetseg.data import images, labels, layout, masks, schema, sources
from mxnetseg.data.content import read_bytes, truncated
from mxnetseg.errors import MXNetSegError, UsageError

from .conftest import CLASSES, write_png

# -- the catalog --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["camvid", "cityscapes"])
def test_catalog_agrees_with_the_facts(shared, name):
    facts = json.loads((shared / "data/datasets.json").read_text())["datasets"][name]
    info = data.info(name)
    assert list(info.classes) == facts["classes"]
    assert info.palette.tolist() == facts["palette"]
    assert list(info.void_color) == facts["void_color"]
    assert info.folder == facts["mxnetseg_name"]
    assert list(info.scales) == facts["ms_scales_default"]
    table = np.full(256, 255)
    for raw, index in facts["raw_to_train"].items():
        assert info.known[int(raw)]
        table[int(raw)] = index if index >= 0 else 255
    assert info.lut.dtype == np.uint8
    assert np.array_equal(info.lut, table)
    assert info.inverse[: info.num_classes].tolist() == facts["train_to_raw"]
    counts = {split: n["n"] for split, n in facts["expected_counts"].items()}
    assert {split: s.count for split, s in info.splits.items()} == counts


def test_catalog_is_listed_and_found_by_name():
    assert {"camvid", "cityscapes", "synthetic"} <= set(data.names())
    assert data.info("CamVid").num_classes == 11
    with pytest.raises(UsageError, match="Did you mean cityscapes"):
        data.create("cityscape", "train")


def test_round_trip_of_the_label_values():
    info = data.info("cityscapes")
    classes = np.arange(19, dtype=np.uint8)
    assert np.array_equal(info.lut[info.inverse[classes]], classes)
    assert info.inverse[255] == 0  # unlabeled


def test_camvid(shared):
    root = shared / "data/CamVid"
    train, val = (data.create("camvid", split, root) for split in ("train", "val"))
    assert (len(train), len(val)) == (367, 101)
    assert train.names == sorted(train.names)
    image, mask, name = train[0]
    assert name == "train/0001TP_006690.png"
    assert image.shape == (360, 480, 3) and mask.shape == (360, 480)
    assert image.dtype == mask.dtype == np.uint8
    raw = cv2.imread(str(root / "trainannot/0001TP_006690.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, np.where(raw == 11, 255, raw))
    bgr = cv2.imread(str(root / name))
    assert np.array_equal(image, bgr[..., ::-1])
    both = data.create("camvid", "trainval", root)
    assert both.names == train.names + val.names
    with pytest.raises(MXNetSegError, match=r"(?s)not in .*test/\*\.png\n  testannot/\*\.png"):
        data.create("camvid", "test", root)


def test_cityscapes(shared, tmp_path):
    root = shared / "data/CityscapesMini"
    ds = data.create("cityscapes", "val", root)
    assert len(ds) == 2 and ds.has_masks
    image, mask, name = ds[0]
    assert name == "leftImg8bit/val/frankfurt/frankfurt_000000_002196_leftImg8bit.png"
    assert image.shape == (1024, 2048, 3)
    assert set(np.unique(mask)) <= set(range(19)) | {255}
    assert len(data.create("cityscapes", "trainval", root)) == 7
    # The test set has no masks; dummies are not read.
    there = tmp_path / "leftImg8bit/test/bonn"
    there.mkdir(parents=True)
    shutil.copy(str(root / name), str(there / "bonn_000000_000019_leftImg8bit.png"))
    test = data.create("cityscapes", "test", tmp_path)
    assert len(test) == 1 and not test.has_masks and test[0].mask is None


def test_root(folder, tmp_path, monkeypatch, shared):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MXNETSEG_DATA", raising=False)
    info = data.info("camvid")
    assert str(layout.default_root(info)) == "datasets/CamVid"
    monkeypatch.setenv("MXNETSEG_DATA", str(shared / "data"))
    assert len(data.create("camvid", "val")) == 101
    monkeypatch.setenv("MXNETSEG_DATA", str(tmp_path))
    with pytest.raises(MXNetSegError, match=r"(?s)does not exist.*--data-root.*trainannot/\*\.png"):
        data.create("camvid", "val")
    with pytest.raises(MXNetSegError, match="CamVid may be meant"):
        data.create("camvid", "val", shared / "data")
    with pytest.raises(UsageError, match="Did you mean train"):
        data.create("camvid", "trian", shared / "data/CamVid")
    with pytest.raises(UsageError, match="Unknown option of CamVid 'size'"):
        data.create("camvid", "val", shared / "data/CamVid", size=(3, 3))


# -- lists ----------------------------------------------------------------------------------------


def _camvid_copy(shared, root, count=3):
    source = shared / "data/CamVid"
    for folder in ("train", "trainannot"):
        (root / folder).mkdir(parents=True)
        for path in sorted((source / folder).iterdir())[:count]:
            shutil.copy(str(path), str(root / folder / path.name))
    return sorted(p.name for p in (root / "train").iterdir())


def test_segnet_list_with_foreign_absolute_paths(shared, tmp_path):
    names = _camvid_copy(shared, tmp_path)
    lines = [f"/SegNet/CamVid/train/{n} /SegNet/CamVid/trainannot/{n}" for n in names[:2]]
    (tmp_path / "train.txt").write_text("\r\n".join(lines) + "\r\n\r\n")  # Windows line ends
    ds = data.create("camvid", "train", tmp_path)
    assert ds.names == [f"train/{n}" for n in names[:2]]
    assert ds[0].mask.shape == (360, 480)


def test_mxnetseg_list(shared, tmp_path):
    names = _camvid_copy(shared, tmp_path)
    (tmp_path / "train").rename(tmp_path / "images")
    (tmp_path / "trainannot").rename(tmp_path / "labelsGray")
    (tmp_path / "train.txt").write_text("\n".join(f"{n}\t{n}" for n in names))
    assert data.create("camvid", "train", tmp_path).names == [f"images/{n}" for n in names]


def test_own_list_with_absolute_paths(folder):
    (folder / "train.lst").write_text(
        f"/somewhere/else/images/train/p1.png /there/masks/train/p1.png\n"
        f"{folder}/images/train/p0.png {folder}/masks/train/p0.png\n"
    )
    path = folder / "own.yaml"
    text = CLASSES + "layouts:\n  - {list: '{split}.lst', image: '{0}', mask: '{1}'}\n"
    path.write_text(text)
    with pytest.raises(UsageError, match="no split 'train'"):
        data.create(path, "train")  # nothing to find the splits by
    path.write_text(text + "splits: [train]\n")
    ds = data.create(path, "train")
    assert ds.names == ["images/train/p1.png", "images/train/p0.png"]
    assert ds[0].mask is not None
    (folder / "train.lst").write_text(
        "images/train/p0.png masks/train/p0.png\nimages/train/no1.png x\nimages/train/no2.png x\n"
    )
    with pytest.raises(MXNetSegError, match=r"2 of 3 .*listed images do not exist \(no1.png, no2"):
        data.create(path, "train")
    (folder / "train.lst").write_text("images/train/p0.png\nimages/train/p1.png\n")
    with pytest.raises(MXNetSegError, match="2 of 2 .* no mask"):
        data.create(path, "train")


# -- own data -------------------------------------------------------------------------------------


def test_folder(folder):
    ds = data.create(folder, "train")
    assert len(ds) == 4 and ds.names[0] == "images/train/p0.png"
    assert ds.info.classes == ("wall", "floor", "tree")
    assert ds.info.palette.tolist() == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert ds[0].mask[0, 0] == 255
    assert pickle.loads(pickle.dumps(ds))[1].name == "images/train/p1.png"
    with pytest.raises(UsageError, match="Known: train, val"):
        data.create(folder, "nothing")
    (folder / "classes.yaml").unlink()
    with pytest.raises(UsageError, match="has no classes.yaml"):
        data.create(folder, "train")


@pytest.mark.parametrize("ending", [".jpg", ".JPEG", ".bmp", ".tif", ".webp"])
def test_image_endings(folder, ending):
    path = folder / "images/train/p0.png"
    image = cv2.imread(str(path))
    smooth = cv2.GaussianBlur(image, (0, 0), 5)
    cv2.imwrite(str(path.with_suffix(ending)), smooth)
    path.unlink()
    sample = data.create(folder, "train")[0]
    assert sample.name == "images/train/p0" + ending
    difference = np.abs(sample.image[..., ::-1].astype(int) - smooth)
    assert difference.mean() < 5


@pytest.mark.parametrize("ending", [".bmp", ".tif", ".webp"])
def test_mask_endings(folder, ending):
    path = folder / "masks/train/p0.png"
    before = data.create(folder, "train")[0].mask
    Image.open(str(path)).save(
        str(path.with_suffix(ending)), **{"lossless": True} if ending == ".webp" else {}
    )
    path.unlink()
    assert np.array_equal(data.create(folder, "train")[0].mask, before)


def test_palette_and_low_depth_masks_give_indices(folder):
    ds = data.create(folder, "train")
    before = ds[0].mask
    write_png(folder / "masks/train/p0.png", before, data.voc_palette(256))
    assert Image.open(str(folder / "masks/train/p0.png")).mode == "P"
    assert np.array_equal(ds[0].mask, before)
    bits = (before == 1).astype(np.uint8)
    Image.fromarray(bits * 255).convert("1").save(str(folder / "masks/train/p0.png"))
    assert np.array_equal(ds[0].mask, bits)


def test_names_with_dots_subfolders_and_hidden_files(folder):
    image = np.zeros((24, 32, 3))
    write_png(folder / "images/train/day.1/a.b.png", image)
    write_png(folder / "masks/train/day.1/a.b.png", image[..., 0])
    (folder / "images/train/.DS_Store").write_bytes(b"x")
    (folder / "images/train/._p0.png").write_bytes(b"x")
    (folder / "images/train/notes.txt").write_text("x")
    ds = data.create(folder, "train")
    assert len(ds) == 5 and ds.names[0] == "images/train/day.1/a.b.png"


def test_yaml_with_relative_root_raw_ids_and_colours(folder):
    home = folder.parent / "facts"
    home.mkdir()
    (home / "own.yaml").write_text(
        "title: Own\nroot: ../own\nignore: [2, 255]\nclasses:\n"
        "  - {name: b, raw: 1, color: [1, 2, 3]}\n  - {name: a, raw: 0}\n"
    )
    ds = data.create(home / "own.yaml", "val")
    raw = cv2.imread(str(folder / "masks/val/p0.png"), cv2.IMREAD_UNCHANGED)
    expected = np.full_like(raw, 255)
    expected[raw == 1], expected[raw == 0] = 0, 1
    assert np.array_equal(ds[0].mask, expected)
    assert ds.info.palette[0].tolist() == [1, 2, 3]
    assert ds.info.inverse[:2].tolist() == [1, 0]
    assert len(data.create(home / "own.yaml", "train", root=folder)) == 4


def test_short_form_of_classes_yaml(folder):
    (folder / "classes.yaml").write_text(
        "classes: [background, thing]\ncolors: [[0, 0, 0], [9, 9, 9]]\nraw_ids: [0, 255]\n"
    )
    info = data.info(folder)
    assert info.lut[255] == 1 and info.known.sum() == 2
    assert info.palette.tolist() == [[0, 0, 0], [9, 9, 9]]


def test_test_split_of_a_folder_may_lack_masks(folder):
    write_png(folder / "images/test/q.png", np.zeros((24, 32, 3)))
    ds = data.create(folder, "test")
    assert ds[0].mask is None
    write_png(folder / "masks/test/q.png", np.zeros((24, 32)))
    assert data.create(folder, "test")[0].mask is not None


def test_colour_coded(folder):
    colors = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [0, 0, 0]], np.uint8)
    index = np.random.default_rng(1).integers(0, 4, (24, 32))
    write_png(folder / "masks/train/p0.png", colors[index])
    (folder / "classes.yaml").write_text(
        "encoding: color\nignore: [[0, 0, 0]]\nclasses:\n"
        "  - {name: a, color: [10, 20, 30]}\n"
        "  - {name: b, color: [1, 1, 1], mask_colors: [[40, 50, 60], [70, 80, 90]]}\n"
    )
    ds = data.create(folder, "train")
    assert np.array_equal(ds[0].mask, np.array([0, 1, 1, 255])[index])
    with pytest.raises(data.DataError, match="is not an RGB mask"):
        ds[1]
    colored = colors[index]
    colored[0, 0] = (5, 6, 7)
    write_png(folder / "masks/train/p0.png", colored)
    with pytest.raises(data.DataError, match=r"p0.png has the colour \(5, 6, 7\)"):
        ds[0]


@pytest.mark.parametrize(
    "text, message",
    [
        ("clases: [a]\n", "key 'classes' is missing"),
        (
            "classes: [a]\nignor: [3]\n",
            "Unknown key 'ignor' in .*classes.yaml: did you mean ignore",
        ),
        ("classes: [{name: a, colour: [1, 2, 3]}]\n", "'classes.0.colour' .* did you mean color"),
        ("classes: [a, a]\n", "the class 'a' is listed twice"),
        ("classes: [a]\nignore: [0]\n", "0 stands for 'a' and for 'ignore'"),
        ("classes: [{name: a, raw: 70000}]\n", "70000 of 'a' is not in 0..65535"),
        ("classes: []\n", "classes"),
        ("classes: [a]\ncolors: [[0, 0, 0], [1, 1, 1]]\n", "'colors' must have one entry"),
        ("classes: [a\n", "line 2 is not valid YAML"),
        ("classes: [a]\nsplits: {x: {concat: [y]}}\n", "made of 'y', which is no split"),
        ("classes: [a]\nencoding: rgb\n", "encoding"),
        ("just text\n", "holds no keys"),
        ("classes: [no, yes]\n", "reads a class name as False .* put it in quotes"),
    ],
)
def test_wrong_yaml(folder, text, message):
    (folder / "classes.yaml").write_text(text)
    with pytest.raises(UsageError, match=message) as error:
        data.create(folder, "train")
    assert "\n" not in str(error.value)


# -- damage ---------------------------------------------------------------------------------------


def test_missing_masks_are_reported_together(folder):
    for index in (1, 2):
        (folder / f"masks/train/p{index}.png").unlink()
    with pytest.raises(MXNetSegError, match=r"2 of 4 .*have no mask \(p1.png, p2.png\)"):
        data.create(folder, "train")
    (folder / "masks/train/p1.jpg").write_bytes(b"")
    with pytest.raises(
        MXNetSegError, match="p2.png has no mask .*masks/train/p2.png; add the mask"
    ):
        data.create(folder, "train")


def test_empty_split(folder):
    for path in (folder / "images/val").iterdir():
        path.unlink()
    with pytest.raises(MXNetSegError, match="split 'val' of own in .* is empty"):
        data.create(folder, "val")


def test_twins(folder):
    shutil.copy(str(folder / "images/train/p0.png"), str(folder / "images/train/p0.bmp"))
    with pytest.raises(MXNetSegError, match="p0.png and p0.bmp are the same image by name"):
        data.create(folder, "train")


def _damage(folder, kind):
    """Damage image or mask of the first sample; returns the words that the error must hold."""
    image, mask = folder / "images/train/p0.png", folder / "masks/train/p0.png"
    if kind == "label":
        values = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        values[3, 4] = 77
        write_png(mask, values)
        return "masks/train/p0.png has the label 77 .* classes 0-2, ignored 255; correct"
    if kind == "rgb":
        write_png(mask, np.zeros((24, 32, 3)))
        return "p0.png is an RGB mask; save masks as 8-bit grey"
    if kind == "rgba":
        write_png(mask, np.zeros((24, 32, 4)))
        return "p0.png is an RGB mask"
    if kind == "16 bit":
        cv2.imwrite(str(mask), np.zeros((24, 32), np.uint16))
        return "p0.png is a 16-bit mask"
    if kind == "size":
        write_png(mask, np.zeros((24, 31)))
        return r"masks/train/p0.png is 31x24 pixels, but its image .*p0.png is 32x24"
    if kind == "turned":
        write_png(mask, np.zeros((32, 24)))
        return "rotation tag"
    if kind == "truncated image":
        image.write_bytes(image.read_bytes()[:-40])
        return "images/train/p0.png is truncated; copy"
    if kind == "truncated mask":
        mask.write_bytes(mask.read_bytes()[:-13])
        return "masks/train/p0.png is truncated; copy"
    if kind == "empty file":
        mask.write_bytes(b"")
        return "masks/train/p0.png is an empty file"
    if kind == "no image":
        image.write_bytes(b"<html>404</html>")
        return "images/train/p0.png is not an image"
    content = bytearray(image.read_bytes())
    content[len(content) // 2] ^= 0x55
    image.write_bytes(bytes(content))
    return "images/train/p0.png is damaged"


DAMAGE = [
    "label",
    "rgb",
    "rgba",
    "16 bit",
    "size",
    "turned",
    "truncated image",
    "truncated mask",
    "empty file",
    "no image",
    "damaged",
]


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage(folder, kind):
    message = _damage(folder, kind)
    ds = data.create(folder, "train")
    with pytest.raises(data.DataError, match=message) as error:
        ds[0]
    assert "\n" not in str(error.value)
    copy = pickle.loads(pickle.dumps(error.value))
    assert str(copy) == str(error.value) and copy.kind == error.value.kind
    assert ds[1].mask is not None


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp", ".tif"])
@pytest.mark.parametrize("part", [0.3, 0.8, 0.99])
def test_truncation_of_every_format(tmp_path, ending, part, capfd):
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8), (0, 0), 2
    )
    content = cv2.imencode(ending, image)[1].tobytes()
    path = tmp_path / ("x" + ending)
    path.write_bytes(content)
    assert images.read_image(path).shape == (90, 120, 3)
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(data.DataError, match="truncated|damaged"):
        images.read_image(path)
    if ending in (".png", ".jpg"):
        assert capfd.readouterr().err == ""  # noticed before the decoder grumbles
        assert truncated(read_bytes(path))


def test_jpeg_with_thumbnail_and_trailing_bytes():
    image = np.full((64, 64, 3), 90, np.uint8)
    content = cv2.imencode(".jpg", image)[1].tobytes()
    thumbnail = b"\xff\xe1" + (2 + 6).to_bytes(2, "big") + b"Exif\xff\xd9"
    with_thumbnail = content[:2] + thumbnail + content[2:]
    as_array = lambda text: np.frombuffer(text, np.uint8)  # noqa: E731
    assert not truncated(as_array(with_thumbnail))
    assert not truncated(as_array(with_thumbnail + b"\0" * 300))
    assert truncated(as_array(with_thumbnail[:-30]))
    png = cv2.imencode(".png", image)[1].tobytes()
    assert not truncated(as_array(png + b"more" * 100))


def test_jpeg_mask_is_explained(folder):
    path = folder / "masks/train/p0.png"
    mask = np.random.default_rng(0).integers(0, 2, (24, 32)).astype(np.uint8) * 2
    cv2.imwrite(str(path.with_suffix(".jpg")), mask * 100)
    path.unlink()
    with pytest.raises(data.DataError, match="JPEG and WebP blur label values"):
        data.create(folder, "train")[0]


def test_unknown_labels_may_be_ignored(folder):
    _damage(folder, "label")
    (folder / "classes.yaml").write_text(CLASSES + "unknown: ignore\n")
    assert data.create(folder, "train")[0].mask[3, 4] == 255


def test_every_label_value_of_cityscapes(tmp_path):
    info = data.info("cityscapes")
    mask = np.repeat(np.arange(34, dtype=np.uint8), 3).reshape(1, -1)
    write_png(tmp_path / "m.png", mask)
    assert np.array_equal(masks.read_mask(tmp_path / "m.png", info), info.lut[mask])
    write_png(tmp_path / "m.png", np.full((2, 2), 34))
    with pytest.raises(data.DataError, match="the label 34"):
        masks.read_mask(tmp_path / "m.png", info)


def test_camera_rotation_is_left_alone(tmp_path):
    image = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(str(tmp_path / "x.jpg"), exif=exif)
    assert data.read_image(tmp_path / "x.jpg").shape == (20, 30, 3)


def test_examples_in_the_schema_text_are_valid():
    text = schema.__doc__.split("example::")[1].split("See :class")[0]
    import textwrap

    import yaml

    info = labels.describe("x", sources.parse_spec(yaml.safe_load(textwrap.dedent(text)), "x"))
    assert info.lut[[0, 7, 8]].tolist() == [0, 1, 1]


def test_lists_of_stems_renamed_splits_exclusions(folder):
    """The form of VOC, Aeroscapes and others."""
    (folder / "lists").mkdir()
    (folder / "lists/trn.txt").write_text("p1\np0\r\n\np3")
    path = folder / "own.yaml"
    path.write_text(
        CLASSES + "splits: {train: {count: 2}, val: {}, all: {concat: [train, val]}}\nlayouts:\n"
        "  - list: lists/{split}.txt\n    image: images/train/{0}.png\n"
        "    mask: masks/train/{0}.png\n    folders: {train: trn}\n    splits: [train]\n"
        "    exclude: [images/train/p3.png]\n"
        "  - {image: 'images/{split}/{stem}.png', mask: 'masks/{split}/{stem}.png'}\n"
    )
    ds = data.create(path, "train")
    assert ds.names == ["images/train/p1.png", "images/train/p0.png"]
    assert ds[0].mask is not None
    assert data.create(path, "all").names == ds.names + data.create(path, "val").names
    shutil.rmtree(str(folder / "images/val"))
    with pytest.raises(MXNetSegError, match=r"split 'all' of own is not in"):
        data.create(path, "all")


@pytest.mark.parametrize("new_opencv", [True, False])
def test_images_of_any_mode_become_rgb(tmp_path, monkeypatch, new_opencv):
    if not new_opencv:  # before OpenCV could decode to RGB
        monkeypatch.setattr(images, "_RGB", None)
        monkeypatch.setattr(images, "_READ", cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    rgb = np.random.default_rng(0).integers(0, 256, (6, 7, 3)).astype(np.uint8)
    path = tmp_path / "x.png"
    for image, expected in (
        (Image.fromarray(rgb), rgb),
        (Image.fromarray(np.dstack([rgb, rgb[..., :1]])), rgb),
        (Image.fromarray(rgb[..., 0]), np.repeat(rgb[..., :1], 3, -1)),
    ):
        image.save(str(path))
        assert np.array_equal(images.read_image(path), expected)
    cv2.imwrite(str(path), rgb[..., ::-1].astype(np.uint16) * 257)
    assert np.array_equal(images.read_image(path), rgb)


# -- wrong settings of own data: the sentence that repairs them ------------------------------------


def test_labels_that_count_from_one(folder):
    for path in folder.rglob("masks/train/*.png"):
        write_png(path, np.array(Image.open(str(path))) % 255 + 1)
    with pytest.raises(data.DataError, match="label 3 .*count from 1: 'first_raw: 1'"):
        data.create(folder, "train")[0]
    (folder / "classes.yaml").write_text(CLASSES + "first_raw: 1\n")
    assert data.create(folder, "train")[0].mask.min() == 0


def test_mean_on_0_to_255(folder):
    text = CLASSES + "mean: [123, 117, 104]\nstd: [58, 57, 57]\n"
    (folder / "classes.yaml").write_text(text)
    with pytest.raises(UsageError, match="divide them by 255"):
        data.create(folder, "train")
    (folder / "classes.yaml").write_text(text + "max_value: 0.5\n")
    assert data.create(folder, "train").info.mean[0] == 123  # any number may be right


def test_wrong_lists(folder):
    with pytest.raises(MXNetSegError, match="the list no_train.txt is neither there"):
        data.create(folder, "train", list="no_{split}.txt")
    (folder / "list.txt").write_text("p0.png p0.png\n")
    with pytest.raises(MXNetSegError, match="None of the first files in .*list.txt exists"):
        data.create(folder, "train", list="list.txt")


def test_unknown_names_may_be_folders_that_are_elsewhere():
    with pytest.raises(UsageError, match="the path of its folder"):
        data.create("mydata-elsewhere", "train")


def test_endings_are_named_where_no_image_is_found(folder):
    for path in folder.glob("images/train/*"):
        path.rename(path.with_suffix(".gif"))
    with pytest.raises(MXNetSegError, match=r"add images \(.png .jpg"):
        data.create(folder, "train")
