"""Label maps in files against the truth, without a network."""

import csv
import json
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg import cli, data, metrics
from mxnetseg.description import IGNORE
from mxnetseg.errors import MXNetSegError, UsageError
from mxnetseg.inference import scoring
from mxnetseg.inference.label_maps import LabelMaps

CLASSES = ["road", "car", "sky"]
RAW = [7, 2, 1]  # label values; 1 and 2 are indices of other classes
MASKS = "gtFine_labelIds"
CITIES = ("ulm", "bonn")


@pytest.fixture
def folder(tmp_path):
    """Five images of a data set whose label values are not the indices."""
    rng = np.random.RandomState(0)
    root = tmp_path / "data"
    for k in range(5):
        mask = np.array([*RAW, 0])[rng.randint(0, 4, (12, 16))].astype(np.uint8)
        for kind, name, pixels in (
            ("images", f"img{k}_leftImg8bit", rng.randint(0, 255, (12, 16, 3))),
            ("masks", f"img{k}_gtFine_labelIds", mask),
        ):
            path = root / kind / "val" / CITIES[k % 2] / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels.astype(np.uint8))
    (root / "data.yaml").write_text(
        "title: Tiny\nclasses:\n"
        + "".join(
            f"  - {{name: {n}, raw: {r}, color: [{10 * r}, 0, {r}]}}\n"
            for n, r in zip(CLASSES, RAW)
        )
        + "ignore: [0, 3]\n"
        "splits:\n  val: {}\n"
        "layouts:\n  - name: cities\n    image: 'images/{split}/{city}/{stem}_leftImg8bit.png'\n"
        "    mask: 'masks/{split}/{city}/{stem}_gtFine_labelIds.png'\n"
    )
    return root


def dataset(folder):
    return data.create(str(folder / "data.yaml"), "val", str(folder))


def predict(sample, wrong=5):
    """The truth with some pixels changed, and no class where it is ignored."""
    classes = sample.mask.copy()
    rows, columns = np.nonzero(classes != IGNORE)
    classes[rows[:wrong], columns[:wrong]] = (classes[rows[:wrong], columns[:wrong]] + 1) % 3
    classes[sample.mask == IGNORE] = 0
    return classes


NAMES = {
    "as written by eval": lambda name: name.replace(".png", ""),
    "flat": lambda name: name.rpartition("/")[2].replace(".png", ""),
    "of the mask": lambda name: name.rpartition("/")[2].replace("leftImg8bit.png", MASKS),
    "with an ending": lambda name: name.rpartition("/")[2].replace(".png", "_pred"),
    "of the frame": lambda name: name.rpartition("/")[2].replace("_leftImg8bit.png", "_x9"),
}


def written(folder, ds, name=NAMES["flat"], form="classes"):
    for sample in ds:
        classes = predict(sample)
        path = folder / f"{name(sample.name)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "color":
            pixels = ds.info.palette[classes][..., ::-1]
        else:
            pixels = classes if form == "classes" else np.array(RAW, np.uint8)[classes]
        cv2.imwrite(str(path), np.ascontiguousarray(pixels))
    return folder


def direct(ds):
    metric = metrics.Accuracy(ds.info)
    for sample in ds:
        metric.update(predict(sample), sample.mask, sample)
    return metric


@pytest.mark.parametrize("form", ["classes", "raw", "color"])
@pytest.mark.parametrize("name", sorted(NAMES))
def test_scores_are_those_of_the_maps(folder, tmp_path, name, form):
    ds = dataset(folder)
    maps = written(tmp_path / "maps", ds, NAMES[name], form)
    found = scoring.score(maps, ds, metrics.create([], ds), tmp_path / "out")
    assert found["values"] == form
    wanted = direct(ds)
    assert found["counts"]["accuracy"] == wanted.counts()
    assert found["miou"] == wanted.result()["miou"] and found["protocol"] is None
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == found
    with open(tmp_path / "out" / "per_image.csv", newline="") as file:
        assert [row["image"] for row in csv.DictReader(file)] == list(ds.names)


def test_palette_pngs_are_indices(folder, tmp_path):
    ds = dataset(folder)
    for sample in ds:
        image = Image.fromarray(predict(sample), "P")
        image.putpalette(list(range(200, 209)))
        (tmp_path / "maps").mkdir(exist_ok=True)
        image.save(tmp_path / "maps" / f"{NAMES['flat'](sample.name)}.png")
    found = scoring.score(tmp_path / "maps", ds, metrics.create([], ds), tmp_path / "out")
    assert found["values"] == "classes"
    assert found["counts"]["accuracy"] == direct(ds).counts()


def test_values_can_be_given(folder, tmp_path):
    ds = dataset(folder)
    maps = written(tmp_path / "maps", ds)
    found = scoring.score(maps, ds, metrics.create([], ds), tmp_path / "out", "classes")
    assert found["counts"]["accuracy"] == direct(ds).counts()
    with pytest.raises(MXNetSegError, match="values"):
        raw = written(tmp_path / "raw", ds, form="raw")
        scoring.score(raw, ds, metrics.create([], ds), tmp_path / "out", "classes")


def test_what_no_truth_tells_is_asked(tmp_path, folder):
    info = dataset(folder).info
    (tmp_path / "maps").mkdir()
    cv2.imwrite(str(tmp_path / "maps" / "a.png"), np.full((4, 4), 1, np.uint8))
    maps = LabelMaps(tmp_path / "maps", info)
    with pytest.raises(UsageError, match="--values"):
        maps.tell(list(maps.files.values()))
    cv2.imwrite(str(tmp_path / "maps" / "a.png"), np.full((4, 4), 99, np.uint8))
    with pytest.raises(MXNetSegError, match="neither"):
        maps.tell(list(maps.files.values()))


def test_missing_doubled_and_misshapen_maps(folder, tmp_path):
    ds = dataset(folder)
    maps = written(tmp_path / "maps", ds)
    files = sorted(maps.iterdir())
    (maps / "more").mkdir()
    (maps / "more" / files[0].name).write_bytes(files[0].read_bytes())
    with pytest.raises(MXNetSegError, match="keep one"):
        scoring.score(maps, ds, metrics.create([], ds), tmp_path / "out")
    (maps / "more" / files[0].name).unlink()
    files[0].unlink()
    with pytest.raises(MXNetSegError, match="1 of 5 images"):
        scoring.score(maps, ds, metrics.create([], ds), tmp_path / "out")
    cv2.imwrite(str(files[0]), np.zeros((6, 8), np.uint8))
    with pytest.raises(MXNetSegError, match="8x6 pixels"):
        scoring.score(maps, ds, metrics.create([], ds), tmp_path / "out")
    with pytest.raises(UsageError, match="does not exist"):
        scoring.score(tmp_path / "nothing", ds, metrics.create([], ds), tmp_path / "out")
    with pytest.raises(UsageError, match="mxnetseg eval"):
        scoring.score(maps, ds, metrics.create(["calibration"], ds), tmp_path / "out")


def test_forms_are_converted(folder, tmp_path):
    ds = dataset(folder)
    maps = written(tmp_path / "maps", ds, NAMES["as written by eval"])
    for to in ("color", "raw"):
        assert scoring.convert(maps, ds.info, tmp_path / to, to, "classes") == ("classes", 5)
    scoring.convert(tmp_path / "raw" / "raw", ds.info, tmp_path / "s", "submission", "raw")
    with zipfile.ZipFile(tmp_path / "s" / "submission.zip") as archive:
        names = archive.namelist()
        contents = {n: np.frombuffer(archive.read(n), np.uint8) for n in names}
    for sample in ds:
        classes = predict(sample)
        name = NAMES["as written by eval"](sample.name) + ".png"
        raw = cv2.imread(str(tmp_path / "raw" / "raw" / name), cv2.IMREAD_UNCHANGED)
        assert (raw == np.array(RAW)[classes]).all()
        picture = Image.open(tmp_path / "color" / "color" / name)
        assert (np.array(picture.convert("RGB")) == ds.info.palette[classes]).all()
        packed = cv2.imdecode(contents[name.rpartition("/")[2]], cv2.IMREAD_UNCHANGED)
        assert (packed == raw).all()


def test_shares_add_up(folder, tmp_path):
    ds = dataset(folder)
    maps = written(tmp_path / "maps", ds, form="raw")
    base = ["score", maps, "--data", folder / "data.yaml", "--data-root", folder]
    base += ["--metrics", "bootstrap", "boundary_iou"]

    def run(*args):
        return cli.main([str(a) for a in args])

    assert run(*base, "-o", tmp_path / "whole") == 0
    parts = [tmp_path / f"part{k}" for k in range(2)]
    for k, part in enumerate(parts):
        assert run(*base, "--index", f"{k}:2", "-o", part) == 0
    assert run("score", "--merge", *parts[::-1], "-o", tmp_path / "sum") == 0
    whole, added = (
        json.loads((tmp_path / n / "results.json").read_text()) for n in ("whole", "sum")
    )
    assert added["images"] == 5 and added["missing_images"] == 0
    own = {"seconds", "index", "merged", "missing_images", "data"}
    assert {k: v for k, v in added.items() if k not in own} == {
        k: v for k, v in whole.items() if k not in own
    }
    tables = [(tmp_path / n / "per_image.csv").read_text() for n in ("whole", "sum")]
    assert tables[0] == tables[1]
    assert run("score", "--merge", parts[0], parts[0], "-o", tmp_path / "twice") == 2
    assert run("score", "--merge", tmp_path, "-o", tmp_path / "none") == 1
    assert run("score", "--merge", parts[0], "-o", tmp_path / "one") == 0
    assert json.loads((tmp_path / "one" / "results.json").read_text())["missing_images"] == 2


def test_wrong_use(folder, tmp_path, capsys):
    ds = dataset(folder)
    maps = written(tmp_path / "maps", ds)
    base = ["score", str(maps), "--data", str(folder / "data.yaml"), "--data-root", str(folder)]
    for more, message in (
        (["--index", "2"], "START:STEP"),
        (["--index", "0:0"], "START:STEP"),
        (["--index", "7:2"], "none from 7"),
        ([str(tmp_path)], "--merge"),
    ):
        assert cli.main([*base, *more, "--out", str(tmp_path / "x")]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["score", str(maps)]) == 2
    assert "--data" in capsys.readouterr().err


def test_convert_needs_no_root(folder, tmp_path):
    maps = written(tmp_path / "maps", dataset(folder), form="raw")
    command = ["score", str(maps), "--data", str(folder / "data.yaml"), "--values", "raw"]
    assert cli.main([*command, "--to", "color", "-o", str(tmp_path / "c")]) == 0
    assert len(list((tmp_path / "c" / "color").glob("*.png"))) == 5
