"""The command line: verbs, flags of the original, and what wrong use is told."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mxnetseg import checkpoint, cli, files, runtime
from mxnetseg.errors import MXNetSegError

ROOT = Path(__file__).resolve().parents[1]
TINY = ["--model", "bisenet", "--backbone", "xception39", "--crop", "64", "--batch-size", "4",
        "--set", "data.options={size: [64, 96], scenes: 8}", "train.epochs=1"]  # fmt: skip


def run(capsys, *args):
    """(exit code, what was printed on stdout, on stderr) of a command."""
    code = cli.main([str(a) for a in args])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished tiny run."""
    out = tmp_path_factory.mktemp("run")
    assert cli.main(["train", *TINY, "--ctx", "cpu", "--out", str(out)]) == 0
    return out


def test_evaluation_gives_the_number_that_training_logged(trained, tmp_path, capsys):
    code, out, _ = run(capsys, "eval", "--checkpoint", trained / "best.params", "--out", tmp_path)
    assert code == 0 and "mIoU" in out
    result = json.loads((tmp_path / "results.json").read_text())
    logged = [json.loads(line) for line in (trained / "log.jsonl").read_text().splitlines()][-1]
    for key in ("miou", "pixel_accuracy", "mean_accuracy"):
        assert result[key] == logged[key]
    assert len(result["classes"]) == 11 and result["images"] == 8


def test_modes_and_multi_scale(trained, tmp_path, capsys):
    file = trained / "best.params"
    assert run(capsys, "eval", "--checkpoint", file, "--ms", "--out", tmp_path / "ms")[0] == 0
    result = json.loads((tmp_path / "ms" / "results.json").read_text())
    assert len(result["protocol"]["scales"]) > 1 and result["protocol"]["flip"]
    for mode in ("testval", "test"):
        out = tmp_path / mode
        code, _, _ = run(capsys, "eval", "--checkpoint", file, "--mode", mode, "--out", out)
        assert code == 0 and len(list((out / "color").rglob("*.png"))) == 8


def test_predictions_shares_and_scores_without_the_network(trained, tmp_path, capsys):
    base = ["eval", "--checkpoint", trained / "best.params"]
    whole = tmp_path / "whole"
    assert run(capsys, *base, "--predictions", "--out", whole)[0] == 0
    for kind in ("color", "labels", "errors"):
        assert len(list((whole / kind).rglob("*.png"))) == 8
    result = json.loads((whole / "results.json").read_text())
    errors = [cv2.imread(str(f), cv2.IMREAD_UNCHANGED) for f in (whole / "errors").rglob("*.png")]
    assert errors[0].shape == (64, 96, 3)  # white, red, grey
    wrong = sum((e == (40, 39, 214)).all(axis=2).sum() for e in errors)
    right = sum((e == 255).all(axis=2).sum() for e in errors)
    assert right / (right + wrong) == pytest.approx(result["pixel_accuracy"])

    where = ["--data", "synthetic", "--set", "data.options={size: [64, 96], scenes: 8}"]
    code, out, _ = run(capsys, "score", whole, *where, "--out", tmp_path / "score")
    scored = json.loads((tmp_path / "score" / "results.json").read_text())
    assert code == 0 and scored["counts"] == result["counts"]

    parts = [tmp_path / f"part{k}" for k in range(3)]
    for k, part in enumerate(parts):
        assert run(capsys, *base, "--index", f"{k}:3", "--out", part)[0] == 0
    assert run(capsys, "score", "--merge", *parts, "--out", tmp_path / "sum")[0] == 0
    added = json.loads((tmp_path / "sum" / "results.json").read_text())
    assert added["counts"] == result["counts"] and added["protocol"] == result["protocol"]
    assert (tmp_path / "sum/per_image.csv").read_bytes() == (whole / "per_image.csv").read_bytes()


def test_converted_checkpoints_are_scored_as_their_origin_does(trained, tmp_path, capsys):
    saved = checkpoint.read(trained / "best.params")
    meta = {k: v for k, v in saved.meta.items() if k != "protocol"}
    file = tmp_path / "converted.params"
    checkpoint.save(file, checkpoint.network(saved), {**meta, "origin": {"system": "mxnetseg"}})
    sizes = ["--base", "96", "--crop", "64"]
    code, out, err = run(capsys, "eval", "--checkpoint", file, *sizes, "--out", tmp_path / "a")
    assert code == 0 and "comes from mxnetseg" in out, err
    result = json.loads((tmp_path / "a" / "results.json").read_text())
    assert result["protocol"]["preset"] == "mxnetseg" and result["protocol"]["base_size"] == 96
    assert result["protocol_rules"]["fill"] == "black"
    assert result["miou_published_rule"] == result["miou_all_classes"]
    code, out, _ = run(
        capsys, "eval", "--checkpoint", file, "--protocol", "whole", "--out", tmp_path / "b"
    )
    assert code == 0 and "comes from" not in out
    result = json.loads((tmp_path / "b" / "results.json").read_text())
    assert result["protocol"]["preset"] is None and "miou_published_rule" not in result
    code, _, err = run(capsys, "eval", "--checkpoint", file, "--protocol", "semsek")
    assert code == 2 and "semseg" in err


def test_predict_goes_on_after_a_bad_image_and_says_so(trained, tmp_path, capsys):
    image = np.random.RandomState(0).randint(0, 255, (57, 83, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "good.png"), image)
    (tmp_path / "bad.png").write_bytes(b"no image")
    code, out, err = run(
        capsys, "predict", "--checkpoint", trained / "best.params", tmp_path, "-o", tmp_path / "out"
    )
    assert code == 1 and "bad.png" in err and "1 of 2" in out
    for kind in ("labels", "color", "overlay"):
        assert list((tmp_path / "out" / kind).glob("good*"))
    labels = cv2.imread(str(tmp_path / "out" / "labels" / "good.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (57, 83) and labels.max() < 11


@pytest.mark.parametrize(
    "command, code, message",
    [
        (["trian"], 2, "Unknown command 'trian'. Did you mean train"),
        (["train", "--modle", "fcn"], 2, "unrecognized arguments: --modle"),
        (["train", "--model", "fnc", "--out", "x"], 2, "Unknown network 'fnc'. Did you mean fcn"),
        (["train", "--backbone", "resnet19", "--out", "x"], 2, "resnet18"),
        (["train", "--set", "train.epoch=3"], 2, "train.epochs"),
        (["train", "--config", "none.yaml"], 2, "none.yaml cannot be read"),
        (["train", "--data", "cityscape", "--out", "x"], 2, "cityscapes"),
        (["train", "--data", "camvid", "--data-root", "nowhere", "--out", "x"], 1, "nowhere"),
        (["train", *TINY, "--out", "x", "--batch-size", "99"], 2, "lower the batch size"),
        (["train", "--model", "bisenet", "--batch-size", "1", "--out", "x"], 2, "per device"),
        (["train", "--ctx", "cpux5"], 2, "no device"),
        (["train", "--resume", "none.params"], 2, "There is no checkpoint none.params"),
        (["eval", "--checkpoint", "none.params"], 2, "There is no checkpoint none.params"),
        (["eval", "--mode", "vla"], 2, "invalid choice"),
        (["check", "--data", "camvid", "--data-root", "nowhere"], 1, "nowhere"),
    ],
)
def test_wrong_use_gives_a_sentence(capsys, monkeypatch, tmp_path, command, code, message):
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *command)
    assert (got, message in out + err) == (code, True), err


def test_a_checkpoint_of_something_else(trained, capsys, tmp_path):
    file = trained / "best.params"
    for command, message in (
        (["eval", "--checkpoint", file, "--model", "fcn"], "holds name 'bisenet', not 'fcn'"),
        (["eval", "--checkpoint", file, "--backbone", "resnet18"], "'xception39', not 'resnet18'"),
        (["train", *TINY, "--model", "fcn", "--backbone", "resnet18", "--checkpoint", file],
         "does not fit the network FCN"),
    ):  # fmt: skip
        code, _, err = run(capsys, *command, "--out", tmp_path / "x")
        assert code == 2 and message in err, err
    folder = tmp_path / "data"
    for kind in ("images", "masks"):
        (folder / kind / "val").mkdir(parents=True)
        cv2.imwrite(str(folder / kind / "val" / "a.png"), np.zeros((8, 8), np.uint8))
    (folder / "classes.yaml").write_text("classes: [a, b]\n")
    code, _, err = run(capsys, "eval", "--checkpoint", file, "--data", folder)
    assert code == 2 and "11 classes (road" in err and "2 classes (a, b)" in err


def test_a_run_is_not_overwritten(trained, capsys):
    before = (trained / "last.params").read_bytes()
    code, _, err = run(capsys, "train", *TINY, "--out", trained)
    assert code == 2 and "--resume" in err
    assert (trained / "last.params").read_bytes() == before


def test_resuming_a_finished_run_with_more_epochs(trained, capsys, tmp_path):
    code, out, _ = run(
        capsys, "train", "--resume", trained / "last.params", "--out", tmp_path, "--epochs", "2"
    )
    assert code == 0 and "finished" in out
    assert checkpoint.read(tmp_path / "last.params").meta["progress"]["step"] == 4


def test_print_config_and_lists(capsys):
    code, out, _ = run(capsys, "train", "--print-config", "--lr", "0.5", "--no-val")
    assert code == 0 and "lr: 0.5" in out and "validate_every: 0" in out
    for verb, word in (("models", "bisenet"), ("datasets", "camvid"), ("doctor", "mxnet")):
        code, out, _ = run(capsys, verb)
        assert code == 0 and word in out


@pytest.mark.skipif(runtime.num_gpus() > 0, reason="there are GPUs")
def test_the_original_command_inside_the_package():
    done = subprocess.run(
        [sys.executable, "train.py", "--model", "fcn", "--ctx", "0", "1", "2", "3"],
        cwd=ROOT / "mxnetseg", capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "GPU 0 was asked for" in done.stderr and "--ctx cpu" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_resuming_goes_on(tmp_path, number):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "mxnetseg", "train", *TINY, "train.epochs=200", "--no-val",
               "--log-interval", "1", "--out", str(out)]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    for _ in range(600):
        time.sleep(0.1)
        if (out / "log.jsonl").exists() and (out / "log.jsonl").stat().st_size:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err and "continue with --resume" in err
    step = checkpoint.read(out / "last.params").meta["progress"]["step"]
    assert step >= 1
    again = subprocess.run(
        [sys.executable, "-m", "mxnetseg", "train", "--resume", str(out / "last.params"),
         "--set", f"train.epochs={step // 2 + 1}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_killed_while_saving_leaves_the_old_checkpoint(tmp_path):
    """SIGKILL at a random moment, most of which are spent saving, never leaves a broken file."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "mxnetseg", "train", *TINY, "train.epochs=500",
               "data.options={size: [32, 32], scenes: 4}", "--no-val", "--crop", "32",
               "--out", str(out)]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not (out / "last.params").exists() and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.7)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert checkpoint.read(out / "last.params").meta["progress"]["step"] >= 1


def test_options_of_data_sets_reach_every_verb(trained, tmp_path, capsys):
    small = ["--set", "data.options={size: [64, 96], scenes: 2}"]
    code, out, _ = run(capsys, "check", *small, "--json")
    assert code == 0 and {part["images"] for part in json.loads(out)["splits"]} == {2}
    (tmp_path / "own.yaml").write_text("data: {options: {size: [64, 96], scenes: 3}}\n")
    code, out, _ = run(capsys, "stats", "--config", tmp_path / "own.yaml", "--no-cache", "--json")
    assert code == 0 and json.loads(out)["images"] == 3
    line = ["eval", "--checkpoint", trained / "best.params", "--ctx", "cpu", "--out", tmp_path]
    code, out, _ = run(capsys, *line, "--set", "data.options.scenes=1")
    assert code == 0 and "1 image (" in out
    code, _, err = run(capsys, *line, "--set", "data.options.scene=1")
    assert code == 2 and "Did you mean scenes" in err
    code, _, err = run(capsys, *line, "--set", "train.epochs=1")
    assert code == 2 and "data.options.KEY=VALUE" in err


@pytest.mark.parametrize(
    "command, message",
    [
        (["complexity", "fcn", "--batch", "0"], "argument --batch: 0 is no whole number from 1 on"),
        (["models", "--classes", "-2"], "argument --classes: -2 is no whole number from 1 on"),
        (["eval", "--crop", "0"], "argument --crop: 0 is no whole number from 1 on"),
        (["launch", "--port", "65534", "--", "train"], "--port 65534 leaves no room"),
        (["launch", "--", "train", "--modle", "x"], "unrecognized arguments: --modle x"),
        (["predict", "x.png", "--checkpoint", "."], ". is a folder: name the file in it"),
    ],
)
def test_impossible_numbers_and_folders_are_named(command, message, capsys):
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("mxnetseg: ") == 1


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(MXNetSegError, match="file; name a folder|cannot be written"):
            files.check_folder(tmp_path / path)
    files.check_folder(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
