"""The table of trainings."""

import csv
import json

import cv2
import numpy as np
import pytest

from mxnetseg import checkpoint, cli, complexity, config, models, runs
from mxnetseg.errors import UsageError

from .tiny import description


def write(folder, log, **settings):
    """The files of a run."""
    folder.mkdir(parents=True)
    experiment = config.build({k.replace("__", "."): v for k, v in settings.items()})
    (folder / "config.yaml").write_text(config.to_yaml(experiment))
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))


def training(step, epoch, loss=1.0, seconds=0.5):
    return {"step": step, "epoch": epoch, "loss": loss, "step_seconds": seconds}


def validation(step, epoch, miou):
    return {"step": step, "epoch": epoch, "miou": miou, "pixel_accuracy": 0.5, "seconds": 3}


@pytest.fixture
def weights(tmp_path):
    log = [training(10, 1), training(15, 1, seconds=1), validation(15, 1, 0.3)]
    log += [training(30, 2), validation(30, 2, 0.2)]
    common = dict(train__epochs=2, model__name="fcn", model__backbone="resnet18")
    write(tmp_path / "fcn" / "a", log, **common, optim__lr=0.1)
    log[-1] = validation(30, 2, 0.4)
    write(tmp_path / "fcn" / "b", log, **common, optim__lr=0.02, model__options={"planes": 8},
          data__root="/elsewhere", loss__aux_weights=[0.1])  # fmt: skip
    write(tmp_path / "new", log[:1], **common, optim__lr=0.1)
    return tmp_path


def test_the_table_has_scores_times_and_what_differs(weights, capsys):
    assert cli.main(["runs", str(weights)]) == 0
    head, first, second, third = capsys.readouterr().out.splitlines()
    columns = ["run", "network", "data", "settings", "mIoU", "best", "epoch", "epochs", "time"]
    assert head.split() == columns
    what = "planes=8 lr=0.02 aux_weights=[0.1]"
    # 10 steps of 0.5 s, 5 of 1 s, 15 of 0.5 s, and two validations of 3 s
    assert first.split() == f"fcn/b fcn resnet18 synthetic {what} 0.4000 2 2/2 0:00:24".split()
    assert " ".join(second.split()) == "fcn/a fcn resnet18 synthetic lr=0.1 0.3000 1 2/2 0:00:24"
    assert " ".join(third.split()) == "new fcn resnet18 synthetic lr=0.1 - - 1/2 0:00:05"


def test_csv_has_a_column_for_each_setting(weights, tmp_path, capsys):
    out = tmp_path / "runs.csv"
    assert cli.main(["runs", str(weights / "fcn"), "--csv", str(out)]) == 0
    first, second = csv.DictReader(out.open(newline=""))
    assert first["run"] == "b" and float(first["miou"]) == 0.4 and first["best_epoch"] == "2"
    settings = ["model.options.planes", "optim.lr", "loss.aux_weights"]
    assert [first[key] for key in settings] == ["8", "0.02", "[0.1]"]
    assert [second[key] for key in settings] == ["", "0.1", ""]
    assert list(first)[-3:] == settings and float(second["seconds"]) == 23.5


def test_a_plot_shows_every_run(weights, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    sizes = []
    for folder in (weights, weights / "new"):
        out = tmp_path / "runs.png"
        assert cli.main(["runs", str(folder), "--plot", str(out)]) == 0
        picture = cv2.imread(str(out))
        strong = np.ptp(picture.astype(int), axis=2) > 60  # of the coloured curves
        sizes.append(int(strong.sum()))
    assert picture.shape == (550, 1320, 3)
    assert sizes[0] > 2 * sizes[1] > 0


def test_a_run_alone_and_broken_files(weights, capsys):
    (weights / "new" / "config.yaml").write_text("a: [")
    with (weights / "new" / "log.jsonl").open("a") as file:
        file.write('{"step": 20, "epo')  # as a run writes it just now
    assert cli.main(["runs", str(weights / "new")]) == 0
    head, line = capsys.readouterr().out.splitlines()
    assert "settings" not in head
    assert line.split() == ["new", "?", "?", "-", "-", "1/?", "0:00:05"]


def test_costs_of_the_runs_that_have_a_checkpoint(weights, tmp_path, capsys):
    net = models.create("fcn", 5, backbone="resnet18")
    checkpoint.save(
        weights / "fcn" / "a" / "last.params", net, checkpoint.describe(net, description(5))
    )
    table, out = tmp_path / "table.csv", tmp_path / "table.md"
    options = ["--costs", "--size", "64", "96", "--ctx", "cpu"]
    assert (
        cli.main(["runs", str(weights), *options, "--csv", str(table), "--markdown", str(out)]) == 0
    )
    rows = {row["run"]: row for row in csv.DictReader(table.open(newline=""))}
    cost = complexity.measure(net, 64, 96)
    assert int(rows["fcn/a"]["parameters"]) == cost.parameters
    assert int(rows["fcn/a"]["macs"]) == cost.macs
    assert float(rows["fcn/a"]["inference_images_per_second"]) > 0
    assert rows["fcn/b"]["macs"] == "" and rows["fcn/b"]["miou"] == "0.4"
    text = capsys.readouterr().out.splitlines()
    assert text[1].split()[-3:] == ["-"] * 3 and f"{cost.macs / 1e9:.2f}G" in text[2]
    head, _, first, second, _ = out.read_text().splitlines()
    assert head.count("|") == first.count("|") == 12
    assert "fcn/b" in first and f"{cost.parameters / 1e6:.2f}M" in second


def test_costs_need_a_checkpoint(weights, capsys):
    assert cli.main(["runs", str(weights), "--costs", "--ctx", "cpu"]) == 2
    assert "No run has a checkpoint" in capsys.readouterr().err


def test_a_folder_without_runs_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="no log.jsonl below"):
        runs.find(tmp_path)
