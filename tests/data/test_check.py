"""``check``: it goes on after whatever it finds, and names file and remedy."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg import data
from mxnetseg.data.check import check
from mxnetseg.errors import MXNetSegError, UsageError

from .conftest import write_png
from .test_catalog import build
from .test_datasets import DAMAGE, _damage


def kinds(report, severity="error"):
    return sorted(f.kind for f in report.findings if f.severity == severity)


def test_good_folder(folder):
    report = check(folder)
    assert report.ok and not report.findings
    assert [part.split for part in report.splits] == ["train", "val"]
    train = report.splits[0]
    assert (train.images, train.masks, train.sizes) == (4, 4, {"32x24": 4})
    ds = data.create(folder, "train")
    masks = np.stack([ds[i].mask for i in range(4)])
    assert train.pixels == np.bincount(masks.ravel(), minlength=256)[:3].tolist()
    assert train.ignored == (masks == 255).sum() == 16
    assert train.occurs == [4, 4, 4]
    content = json.loads(report.as_json())
    assert content["ok"] and content["splits"][0]["ignored_share"] == train.ignored_share
    text = report.as_text()
    assert "nothing wrong" in text and "floor" in text


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("label", "unknown label"),
        ("rgb", "RGB"),
        ("16 bit", "16-bit"),
        ("size", "size"),
        ("truncated image", "truncated"),
        ("truncated mask", "truncated"),
        ("empty file", "empty"),
        ("no image", "unreadable"),
        ("damaged", "unreadable"),
    ],
)
def test_damage_is_found_and_the_rest_still_checked(folder, kind, expected):
    assert kind in DAMAGE
    _damage(folder, kind)
    report = check(folder, workers=3)
    assert not report.ok
    assert kinds(report) == [expected]
    finding = report.errors[0]
    assert finding.split == "train" and finding.file.endswith("train/p0.png") and finding.remedy
    assert str(finding) in report.as_text()
    assert report.splits[0].occurs[0] >= 3


def test_everything_at_once(folder):
    for kind in ("label", "truncated image"):
        _damage(folder, kind)
    (folder / "masks/train/p1.png").unlink()
    write_png(folder / "masks/train/extra.png", np.zeros((24, 32)))
    write_png(folder / "masks/train/p2.png", np.full((24, 32), 255))
    shutil.copy(str(folder / "images/val/p0.png"), str(folder / "images/val/p0.jpg"))
    report = check(folder)
    assert kinds(report) == ["duplicate", "no mask", "truncated", "unknown label"]
    assert kinds(report, "warning") == ["all ignored", "ending", "surplus mask"]
    assert report.splits[0].images == 4 and report.splits[0].masks == 3
    assert json.loads(report.as_json())["findings"][0]["severity"] == "error"
    assert "4 errors, 3 warnings" in report.as_text()
    one = check(folder, split="val")
    assert [part.split for part in one.splits] == ["val"] and kinds(one) == ["duplicate"]


def test_empty_and_absent_splits(folder):
    (folder / "images/test").mkdir()
    report = check(folder)
    assert kinds(report) == ["empty split"] and report.errors[0].split == "test"
    with pytest.raises(UsageError, match="Unknown split"):
        check(folder, split="trial")
    with pytest.raises(MXNetSegError, match="does not exist"):
        check("camvid", root=folder / "nothing")
    with pytest.raises(MXNetSegError, match=r"(?s)holds no split of CamVid.*trainannot"):
        check("camvid", root=folder)


def test_many_findings_are_shortened(folder):
    for index in range(30):
        write_png(folder / f"masks/val/extra{index}.png", np.zeros((24, 32)))
    text = check(folder).as_text(limit=5)
    assert text.count("belongs to no image") == 5 and "25 more of the kind 'surplus mask'" in text


def test_more_images_than_expected(folder):
    text = "classes: [wall, floor, tree]\nsplits: {train: {count: 3}, val: {count: 9}}\n"
    (folder / "classes.yaml").write_text(text)
    report = check(folder)
    assert report.ok and kinds(report, "warning") == ["count"]
    assert [part.count for part in report.splits] == ["more: 4 of 3", "partial: 2 of 9"]


def test_camvid(shared):
    before = cv2.getNumThreads()
    report = check("camvid", split="val", root=shared / "data/CamVid")
    assert report.ok and not report.findings and cv2.getNumThreads() == before
    val = report.splits[0]
    assert val.count == "complete" and val.images == 101
    # Shares of all pixels in percent, as the facts have them; the last one is ignored.
    facts = [9.18, 25.96, 0.56, 28.95, 8.72, 16.34, 0.89, 3.08, 1.75, 0.65, 2.22]
    shares = 100 * np.array(val.pixels) / (sum(val.pixels) + val.ignored)
    assert np.abs(shares - facts).max() < 0.006
    assert abs(100 * val.ignored_share - 1.70) < 0.006


def test_cityscapes_is_partial(shared):
    seen = []

    def progress(futures, total):
        seen.append(total)
        return futures

    report = check("cityscapes", root=shared / "data/CityscapesMini", progress=progress)
    assert report.ok and not report.findings and seen == [7]
    assert report.absent == ["test"]
    text = report.as_text()
    assert (
        "partial: 5 of 2975" in text and "partial: 2 of 500" in text and "not there: test" in text
    )


def test_drawn(folder):
    report = check("synthetic", split="test", size=(48, 64), scenes=3)
    assert report.ok and report.splits[0].images == 3 and report.splits[0].sizes == {"64x48": 3}


def test_binary_masks_of_0_and_255(folder):
    (folder / "classes.yaml").write_text("classes: [wall, horse]\n")
    for path in folder.rglob("masks/*/*.png"):
        write_png(path, np.where(np.array(Image.open(str(path))) == 1, 255, 0))
    report = check(folder)
    assert kinds(report, "warning") == ["absent class"]
    assert "the class 'horse'; if masks hold 0 and 255, set 'encoding: threshold'" in (
        report.as_text()
    )
    (folder / "classes.yaml").write_text("classes: [wall, horse]\nencoding: threshold\n")
    assert not check(folder).findings


def test_masks_as_jpeg(folder):
    path = folder / "masks/train/p0.png"
    Image.new("L", (32, 24), 1).save(str(path.with_suffix(".jpg")))
    path.unlink()
    assert kinds(check(folder), "warning") == ["lossy mask"]


def test_a_mask_beyond_the_list_of_camvid(tmp_path):
    build("camvid: official", tmp_path)
    assert not check("camvid", root=tmp_path).findings
    for name in ("0016E5_99999.png", "0016E5_99998.png", ".hidden.png", "notes.txt"):
        shutil.copy(tmp_path / "trainannot/0016E5_08190.png", tmp_path / "trainannot" / name)
    report = check("camvid", root=tmp_path)
    assert report.ok and kinds(report, "warning") == ["unlisted mask"]
    assert "holds 2 masks that no list names (0016E5_99998.png, 0016E5_99999.png)" in (
        report.as_text()
    )


def test_masks_beside_listed_ones_with_another_ending_are_other_things(tmp_path):
    """Cityscapes has colours and instances in the folder of the label ids."""
    build("cityscapes: official", tmp_path)
    folder = "train/aachen/aachen_000000_000019"
    (tmp_path / "train.lst").write_text(
        f"leftImg8bit/{folder}_leftImg8bit.png\tgtFine/{folder}_gtFine_labelIds.png\n"
    )
    for other in tmp_path.glob("gtFine/train/*/*_labelIds.png"):
        shutil.copy(other, str(other).replace("000019", "000029"))
    shutil.move(str(tmp_path / "leftImg8bit"), str(tmp_path / "gone"))  # only the list is left
    (tmp_path / "leftImg8bit/train/aachen").mkdir(parents=True)
    shutil.copy(tmp_path / f"gone/{folder}_leftImg8bit.png", tmp_path / "leftImg8bit/train/aachen")
    shutil.move(str(tmp_path / "gtFine"), str(tmp_path / "labels"))
    (tmp_path / "train.lst").write_text(
        f"leftImg8bit/{folder}_leftImg8bit.png\tlabels/{folder}_gtFine_labelIds.png\n"
    )
    report = check("cityscapes", root=tmp_path)
    assert kinds(report, "warning") == ["unlisted mask"]
    assert "holds a mask that no list names (aachen_000000_000029_gtFine" in report.as_text()


def test_the_same_name_twice_in_a_split(tmp_path):
    build("cityscapes: official", tmp_path)
    for path in [*tmp_path.glob("*/train/aachen/*_leftImg8bit.png"),
                 *tmp_path.glob("*/train/aachen/*_labelIds.png")]:  # fmt: skip
        other = path.parent.parent / "bonn" / path.name
        other.parent.mkdir(exist_ok=True)
        shutil.copy(path, other)
    report = check("cityscapes", root=tmp_path)
    assert report.ok and kinds(report, "warning") == ["same name"]
    assert "bonn/aachen_000000_000019_leftImg8bit.png has the same name as" in report.as_text()


def test_two_endings_in_a_list(tmp_path):
    build("camvid: official", tmp_path)
    shutil.copy(tmp_path / "train/0016E5_08190.png", tmp_path / "train/0016E5_08190.bmp")
    lines = (tmp_path / "train.txt").read_text().split("\n")
    lines.append(lines[-1].replace("08190.png", "08190.bmp", 1))
    (tmp_path / "train.txt").write_text("\n".join(lines))
    report = check("camvid", root=tmp_path)
    assert report.ok and kinds(report, "warning") == ["ending", "same name"]
    assert "0016E5_08190.bmp has the same name as train/0016E5_08190.png" in report.as_text()
