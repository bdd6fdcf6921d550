"""The page of a training and of evaluations."""

import base64
import csv
import io
import json
import re
import shutil
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from mxnetseg import checkpoint, cli, config, data, files, models, report
from mxnetseg.errors import UsageError
from mxnetseg.report import collect, figures, pictures, sections, settings

pytest.importorskip("jinja2", reason="needs jinja2: pip install mxnetseg[report]")

OPTIONS = {"size": [48, 64], "scenes": 8}


def trained(folder, seed=0, model="eprnet", **options):
    """A folder as training leaves it: an untrained network and a log of a few steps."""
    import mxnet as mx

    experiment = config.build(
        {"model.name": model, "data.options": OPTIONS, "train.epochs": 2, "optim.lr": 0.5 + seed}
    )
    info = data.create("synthetic", "val", **OPTIONS).info
    mx.random.seed(seed)
    net = models.create(model, info.num_classes, **options)
    net.initialize(force_reinit=True)
    tree = experiment.model_dump(mode="json")
    stand = {"step": 6, "epochs": 2, "best": 0.2, "total_steps": 6}
    folder.mkdir(parents=True)
    checkpoint.save(
        folder / "best.params", net, checkpoint.describe(net, info, experiment=tree, progress=stand)
    )
    files.write(folder / "config.yaml", config.to_yaml(experiment))
    parts = {"main": 0.5, "aux <0>": 0.1}
    records = [{"step": k, "epoch": 1 + k // 4, "loss": 2 / k, "lr": 0.1} for k in range(1, 7)]
    records = [{**r, "parts": parts, "gradient_norm": 1.0} for r in records]
    scores = {"pixel_accuracy": 0.5, "mean_accuracy": 0.3, "iou": dict.fromkeys(info.classes, 0.4)}
    records += [{"step": 3 * k, "epoch": k, "miou": 0.1 * k, "best": 0.2, **scores} for k in (1, 2)]
    files.write(folder / "log.jsonl", "".join(json.dumps(r) + "\n" for r in records))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two folders of trainings, and the page that compares them."""
    top = tmp_path_factory.mktemp("runs")
    a, b = trained(top / "a"), trained(top / "b", seed=1)
    page = top / "page.html"
    assert cli.main(["report", str(a), str(b), "-o", str(page), "--ctx", "cpu"]) == 0
    return a, b, page.read_text(encoding="utf-8")


def test_a_training_is_evaluated_once(runs, capsys):
    a = runs[0]
    before = (a / "eval" / "results.json").read_bytes()
    assert cli.main(["report", str(a), "--ctx", "cpu"]) == 0
    assert "evaluating" not in capsys.readouterr().out
    assert (a / "eval" / "results.json").read_bytes() == before
    page = (a / "report.html").read_text(encoding="utf-8")
    result = json.loads(before)
    assert f"<b>{100 * result['miou']:.2f}<i>%</i></b>" in page
    assert "<h3>Parts of the loss" in page and ">aux &lt;0&gt;</text>" in page
    assert page.count('class="spark"') == 11  # a line for each class
    # what differs from the defaults, and nothing else
    assert re.findall(r"<tr><th>([\w.]+\.[\w.]+)</th>", page) == [
        "model.name", "data.options", "train.epochs", "optim.lr"
    ]  # fmt: skip


def test_the_page_has_every_section_and_needs_nothing_else(runs):
    page = runs[2]
    for part in ("summary", "classes", "confusion", "images", "why", "training", "settings"):
        assert f'<section id="{part}">' in page, part
    assert "default-src 'none'" in page
    named = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"|url\(([^)]*)\)', page)
    assert all(a.startswith(("data:", "#")) or b.startswith("data:") for a, b in named)
    assert "optim.lr" in page and 'class="differ"' in page
    for title in (
        "Loss",
        "Validation",
        "Learning rate",
        "Calibration",
        "Boundary against interior",
    ):
        assert f"<h3>{title}" in page


def test_pictures_are_those_of_truth_and_prediction(runs):
    """Decoded from the page: the truth's colours, and errors where the prediction differs."""
    dataset = data.create("synthetic", "val", **OPTIONS)
    page = (runs[2]).split('<article class="shot">')[1:]
    # worst, best, and where the second gains and loses
    names = [re.search(r"<b>(.*?)</b>", card).group(1) for card in page]
    assert set(names) == set(dataset.names) and len(names) > len(dataset)
    sample = dataset[dataset.names.index(names[0])]
    urls = re.findall(r'src="data:image/png;base64,([^"]*)"', page[0])
    truth, first, first_wrong, _, _ = (
        np.array(Image.open(io.BytesIO(base64.b64decode(u))).convert("RGBA")) for u in urls
    )
    known = sample.mask != 255
    np.testing.assert_array_equal(truth[known][:, :3], dataset.info.palette[sample.mask[known]])
    assert (truth[..., 3] == np.where(known, 255, 0)).all()
    wrong = (truth[..., :3] != first[..., :3]).any(axis=2) & known
    assert 0 < wrong.mean() < 1
    np.testing.assert_array_equal((first_wrong == pictures.ERROR_COLORS[1]).all(axis=2), wrong)


def test_worst_and_best_images(runs):
    (run,) = collect.collect([runs[0]])
    worst, best = pictures.groups([run], 3)
    scores = sorted((row["miou"], row["image"]) for row in run.rows)
    assert worst[2] == [name for _, name in scores[:3]]
    assert best[2] == [name for _, name in scores[::-1][:3]]
    worst, best = pictures.groups([run], 12)  # none is in both
    assert len(worst[2]) == len(best[2]) == 4 and not set(worst[2]) & set(best[2])


def test_written_predictions_are_shown_only_if_they_were_scored(runs, monkeypatch):
    (run,) = collect.collect([runs[0]])
    name = run.rows[0]["image"]
    fresh = pictures.load([run], [name])[name]
    written = run.folder / "labels" / f"{name}.png"
    files.write(written, files.png(np.zeros((48, 64), np.uint8)))  # of some other protocol
    np.testing.assert_array_equal(pictures.load([run], [name])[name].predictions, fresh.predictions)
    files.write(written, files.png(fresh.predictions[0]))
    monkeypatch.setattr(collect, "backend", None)  # the network is not needed
    shown = pictures.load([run], [name])[name]
    np.testing.assert_array_equal(shown.predictions, fresh.predictions)
    assert shown.scores[0] == pytest.approx(run.rows[0]["miou"], abs=1e-6)


def test_label_maps_that_were_scored_without_a_network(tmp_path):
    """The folder of `mxnetseg score`: its pictures are the maps that it was given."""
    dataset = data.create("synthetic", "val", **OPTIONS)
    for sample in dataset:
        found = np.where(sample.mask == 255, 0, sample.mask)
        found[:20] = 3
        files.write(tmp_path / "maps" / f"{sample.name}.png", files.png(found))
    text = ["size=[48, 64]", "scenes=8"]
    command = ["score", str(tmp_path / "maps"), "--data", "synthetic", "--values", "classes"]
    command += ["--set", *(f"data.options.{t}" for t in text), "--out", str(tmp_path / "scored")]
    assert cli.main(command) == 0
    assert cli.main(["report", str(tmp_path / "scored")]) == 0
    page = (tmp_path / "scored" / "report.html").read_text(encoding="utf-8")
    cards = page.split('<article class="shot">')[1:]
    assert len(cards) == len(dataset)
    url = re.findall(r'src="data:image/png;base64,([^"]*)"', cards[0])[1]
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(url))).convert("RGB"))
    assert (shown[:20] == dataset.info.palette[3]).all()
    assert not (shown[20:] == dataset.info.palette[3]).all()
    # a share of them, where the others have no map
    for sample in list(dataset)[1::2]:
        (tmp_path / "maps" / f"{sample.name}.png").unlink()
    assert cli.main([*command[:-1], str(tmp_path / "share"), "--index", "0:2"]) == 0
    assert cli.main(["report", str(tmp_path / "share")]) == 0
    page = (tmp_path / "share" / "report.html").read_text(encoding="utf-8")
    assert page.count('<article class="shot">') == len(dataset) // 2
    assert "<h1>label maps" in page and "mxnetseg score --metrics boundary_iou" in page


def test_an_evaluation_of_another_day(tmp_path, runs, capsys):
    """A folder that was moved, without its checkpoint, of a version that wrote less."""
    folder = tmp_path / "old"
    result = json.loads((runs[0] / "eval" / "results.json").read_text())
    for key in ("reliability", "boundary_distance", "boundary_miou", "miou_interval", "data"):
        del result[key]
    files.write(folder / "results.json", json.dumps({**result, "checkpoint": "gone.params"}))
    assert cli.main(["report", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "--metrics boundary_iou boundary_distance calibration bootstrap" in said
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '<section id="classes">' in page and '<article class="shot">' not in page


def test_evaluations_of_other_images_do_not_compare(tmp_path, runs, capsys):
    for name, keep in ("whole", 9), ("part", 4):
        shutil.copytree(runs[0] / "eval", tmp_path / name)
        rows = (runs[0] / "eval" / "per_image.csv").read_text().splitlines(keepends=True)
        files.write(tmp_path / name / "per_image.csv", "".join(rows[:keep]))
    folders = [str(tmp_path / name) for name in ("whole", "part")]
    assert cli.main(["report", *folders, "-o", str(tmp_path / "page.html")]) == 0
    assert "(whole 8, part 3; 3 in common)" in capsys.readouterr().out


def test_a_training_that_has_just_begun(tmp_path, capsys):
    folder = tmp_path / "new"
    lines = [json.dumps({"step": k, "epoch": 1, "loss": 1.0, "lr": 0.1}) for k in (1, 2)]
    files.write(folder / "log.jsonl", "\n".join([*lines, '{"step": 3, "lo']))
    assert cli.main(["report", str(folder)]) == 0
    assert "no checkpoint yet" in capsys.readouterr().out
    assert "<h3>Loss" in (folder / "report.html").read_text(encoding="utf-8")


def test_wrong_folders(tmp_path, runs):
    with pytest.raises(UsageError, match="neither an evaluation"):
        report.write([tmp_path], tmp_path / "x.html")
    with pytest.raises(UsageError, match="is no folder"):
        report.write([tmp_path / "none"], tmp_path / "x.html")
    with pytest.raises(UsageError, match="twice"):
        report.write([runs[0], runs[0]], tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_without_jinja2(tmp_path, runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(UsageError, match=r"pip install mxnetseg\[report\]"):
        report.write([runs[0]], tmp_path / "x.html")


def test_names_of_classes_cannot_break_the_page(tmp_path, runs):
    result = json.loads((runs[0] / "eval" / "results.json").read_text())
    evil = '</script><img src="x" onerror=alert(1)>'
    result["classes"][0]["name"] = evil
    files.write(tmp_path / "r" / "results.json", json.dumps({**result, "checkpoint": None}))
    report.write([tmp_path / "r"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert evil not in page and "&lt;/script&gt;" in page and "onerror=alert(1)&gt;" in page


def test_150_classes_and_500_images(tmp_path):
    """Small and readable: the matrix is one picture, with every name beside it."""
    rng, count = np.random.default_rng(0), 150
    counts = rng.integers(0, 20, (count, count)) + 5000 * np.eye(count, dtype=int)
    counts[7] = 0
    names = [f"class {k}" for k in range(count)]
    classes = [{"name": n, "iou": 0.5, "accuracy": 0.6, "precision": None} for n in names]
    result = {"classes": classes, "counts": {"accuracy": {"confusion": counts.tolist()}}}
    numbers = {"miou": 0.5, "pixel_accuracy": 0.6, "mean_accuracy": 0.5}
    where = {"dataset": "x", "split": "val", "images": 500, "seconds": 1, "protocol": {}}
    files.write(tmp_path / "e" / "results.json", json.dumps({**result, **numbers, **where}))
    with open(tmp_path / "e" / "per_image.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "miou"])
        writer.writerows([f"{k}.jpg", rng.random()] for k in range(500))
    report.write([tmp_path / "e"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page) < 600_000
    matrix = page[page.index('<svg class="confusion"') :]
    assert all(matrix.count(f">{n}</text>") >= 2 for n in names)


def test_pictures_stay_small():
    """Even of noise, which nothing compresses."""
    rng, shown = np.random.default_rng(0), []
    for k in range(24):
        image, labels = rng.integers(0, 256, (256, 512, 3), np.uint8), (3, 256, 512)
        truth, *maps = rng.integers(0, 150, labels, np.uint8)
        shown.append(pictures.Shown(str(k), image, truth, maps))
    found = pictures.encode(shown, rng.integers(0, 256, (150, 3), np.uint8))
    total = sum(len(u) for f in found.values() for u in (f["photo"], f["truth"], *f["runs"][0]))
    assert total < 4_500_000 and found["0"]["width"] < 512


def test_short_names():
    names = ["wall", "screen, CRT screen", "screen;screen door", "door, double door", ""]
    assert collect.short_names(names) == ["wall", *names[1:3], "door", ""]


def test_colours_follow_the_classes_of_the_data(runs):
    """The network had them in another order."""
    (run,) = collect.collect([runs[0]])
    palette = run.description.palette
    order = [*range(1, 11), 0]  # class k of the network is class k + 1 of the data
    run.result["order"] = order
    assert all((run.palette[order[k]] == palette[k]).all() for k in range(11))
    run.description = None
    np.testing.assert_array_equal(run.palette, data.info("synthetic").palette)
    run.result.update(data=None, dataset="nobody's")
    assert run.palette is None and sections.classes([run])[1][0]["color"] == "#999999"


# --- parts --------------------------------------------------------------------------------------


def test_axes_and_ticks():
    assert figures.Axis(0, 1, 0, 100).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert figures.Axis(3, 47, 0, 100).ticks() == pytest.approx([10, 20, 30, 40])
    assert figures.Axis(0.002, 1, 0, 100, log=True).ticks() == pytest.approx([0.01, 0.1, 1])
    assert figures.Axis(0.01, 1, 0, 100, log=True)(0.1) == 50
    assert figures.Axis(0, 4, 100, 0)(1) == 75


def test_smoothing_keeps_level_and_length():
    values = [2.0] * 50 + [1.0] * 50
    smooth = sections.smooth(values)
    assert len(smooth) == 100 and smooth[0] == 2 and smooth[-1] == 1
    assert all(a >= b for a, b in zip(smooth, smooth[1:]))


def test_settings_of_two_experiments():
    one = config.build({"optim.lr": 0.1}).model_dump(mode="json")
    two = config.build({"optim.lr": 0.2, "train.seed": 3}).model_dump(mode="json")
    found = {row["key"]: row for row in settings.table([one, two])}
    assert set(found) == {"optim.lr", "train.seed"}
    assert found["optim.lr"]["values"] == ["0.1", "0.2"] and found["optim.lr"]["differ"]
    assert found["train.seed"]["values"] == ["0", "3"] and found["train.seed"]["default"] == "0"


def test_a_palette_png_keeps_its_colours():
    values = np.array([[0, 3], [200, 3]], np.uint8)
    colors = np.random.default_rng(0).integers(0, 256, (256, 4), np.uint8)
    url = pictures.palette_png(values, colors)
    picture = Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA")
    np.testing.assert_array_equal(np.array(picture), colors[values])


def test_confusion_colours_tell_right_from_wrong():
    share = np.array([[0.9, 0.1], [np.nan, np.nan]])
    picture = figures._picture(share).astype(int)
    assert picture[0, 0, 2] > picture[0, 0, 0] and picture[0, 1, 0] > picture[0, 1, 2]
    assert (picture[1] == 228).all()
    assert cv2.imdecode(np.frombuffer(files.png(picture.astype(np.uint8)), np.uint8), 1) is not None
