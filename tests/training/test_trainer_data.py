"""What the trainer does with its data: class weights by rule, sampling, kept samples, sizes."""

import json
import multiprocessing

import numpy as np
import pytest
from PIL import Image

from mxnetseg import build, checkpoint, cli, config, data, losses
from mxnetseg.boundary import edge_map
from mxnetseg.errors import UsageError
from mxnetseg.training import trainer

from .test_trainer import difference, interrupted, run


def test_class_weights_by_a_rule_become_numbers_that_a_resumed_run_keeps(tmp_path, monkeypatch):
    settings = dict(loss__class_weights="auto:enet", data__sampling="rare")
    run(tmp_path / "whole", **settings)
    half = interrupted(monkeypatch, tmp_path / "parts", 2, **settings)
    weights = half.meta["experiment"]["loss"]["class_weights"]
    assert len(weights) == 11 and all(1.4 < w < 50.6 for w in weights)
    assert config.build(file=tmp_path / "parts" / "config.yaml").loss.class_weights == weights
    with monkeypatch.context() as patch:
        patch.setattr(data.stats, "class_weights", None)  # not computed again
        run(tmp_path / "parts", resume=half)
    assert difference(*(tmp_path / n / "last.params" for n in ("whole", "parts"))) == 0


def test_kept_and_smaller_samples(tmp_path):
    run(tmp_path / "plain", train__epochs=1)
    run(tmp_path / "kept", train__epochs=1, data__cache_memory=0.1)
    run(tmp_path / "reduced", train__epochs=1, data__reduced_jpeg=True)
    for name in ("kept", "reduced"):
        assert difference(*(tmp_path / n / "last.params" for n in ("plain", name))) == 0
    with pytest.raises(UsageError, match="saves nothing"):
        run(tmp_path, data__reduced_jpeg=True, data__cache_memory=1)


def test_sizes_that_are_left_open_are_those_of_the_preset():
    experiment = config.build({"augment.preset": "semseg"})
    train_set = data.create("synthetic", "train", scenes=1)
    net = build.create_network(experiment.model, 11)
    resolved = build.with_sizes(experiment, train_set, net)
    assert resolved.augment.base_size is None  # factors of each image's own size
    assert min(resolved.train.crop_size) > 200 and experiment.train.crop_size is None
    transform = build.transform(resolved, train_set.info)
    assert transform.base_size is None and transform.crop_size == resolved.train.crop_size
    for name, message in (("crop_size", "train.crop_size"), ("base_size", "augment.base_size")):
        wrong = config.build({"augment.options": {name: 3}, "train.crop_size": 32})
        with pytest.raises(UsageError, match=message):
            build.transform(wrong, train_set.info)


def test_what_to_do_without_a_validation_split(tmp_path):
    with pytest.raises(UsageError, match="Unknown split .*'vla'.* data.val_split=.* --no-val"):
        run(tmp_path, data__val_split="vla", train__validate_every=1)
    assert not (tmp_path / "last.params").exists()


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_an_image_that_vanishes_ends_the_run_in_a_sentence(tmp_path, monkeypatch, capsys, mode):
    for index in range(8):
        for kind, shape in (("images", (32, 32, 3)), ("masks", (32, 32))):
            path = tmp_path / f"own/{kind}/train/{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros(shape, np.uint8)).save(path)
    (tmp_path / "own/classes.yaml").write_text("classes: [wall, floor]\n")
    save = trainer.checkpoints.save

    def save_and_lose_an_image(*arguments):
        save(*arguments)
        (tmp_path / "own/images/train/3.png").unlink()

    monkeypatch.setattr(trainer.checkpoints, "save", save_and_lose_an_image)
    arguments = ["train", "--model", "bisenet", "--backbone", "xception39", "--data"]
    arguments += [str(tmp_path / "own"), "--out", str(tmp_path / "run"), "--ctx", "cpu", "--no-val"]
    arguments += ["--crop", "64", "--batch-size", "4", "--epochs", "3"]
    assert cli.main([*arguments, "--set", f"data.worker_mode={mode}"]) == 1
    assert "images/train/3.png does not exist; restore it" in capsys.readouterr().err
    assert checkpoint.read(tmp_path / "run/last.params").meta["progress"]["step"] == 2
    assert not multiprocessing.active_children()


def test_a_sum_of_losses_trains_and_is_kept_in_the_settings(tmp_path):
    loss = {
        "loss__name": [["cross_entropy", 1.0], ["lovasz", 0.5]],
        "loss__options": {"cross_entropy": {"label_smoothing": 0.1}},
        "loss__per": "device",
    }
    run(tmp_path, contexts=("cpu", "cpu"), train__epochs=1, **loss)
    kept = config.build(file=tmp_path / "config.yaml").loss
    assert [tuple(part) for part in kept.name] == [("cross_entropy", 1.0), ("lovasz", 0.5)]
    assert (kept.options, kept.per) == (loss["loss__options"], "device")
    for name in (7, [["dice"]], [["dice", "1"]], [["dice", 1, 2]], ["dice"]):
        with pytest.raises(UsageError, match=r"loss.name .* \[name, weight\]"):
            config.build({"loss.name": name})
    with pytest.raises(UsageError, match="Did you mean dice"):
        run(tmp_path / "wrong", loss__name=[["dica", 1.0]])


@pytest.mark.parametrize("source", ["crop", "image"])
def test_boundary_outputs_learn_from_the_transforms_maps(tmp_path, monkeypatch, source):
    """The loss makes none: on a GPU it would have to fetch the labels back in each step."""
    seen = []

    def wanted(label):
        raise AssertionError("the loss makes a boundary map")

    def split(label, with_edges):
        seen.append(label.asnumpy())
        return original(label, with_edges)

    original = losses.base._split
    monkeypatch.setattr(losses.base, "_edges", wanted)
    monkeypatch.setattr(losses.base, "_split", split)
    run(
        tmp_path, model__name="pidnet_s", model__backbone=None, loss__name="boundary_aware",
        train__epochs=1, train__stop_after=1, data__options={"size": [64, 96], "scenes": 4},
        augment__options={"boundary_from": source},
    )  # fmt: skip
    assert len(seen) == 1 and seen[0].shape == (4, 2, 64, 64)
    own = np.stack([edge_map(mask, frame=0) for mask in seen[0][:, 0]])
    assert (seen[0][:, 1] == own).all() == (source == "crop") and seen[0][:, 1].any()


def test_the_last_batch_may_be_smaller(tmp_path, monkeypatch):
    """SANet: its schedule counts the full batches alone; the last one is of 2 instead of 4."""
    settings = {"data__options": {"size": [64, 96], "scenes": 10}, "train__keep_last": True}
    run(tmp_path / "whole", **settings)
    lines = [json.loads(line) for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines if "lr" in line]
    passed = [2 * epoch + batch for epoch in (0, 1) for batch in (0, 1, 2)]
    assert rates == pytest.approx([0.01 * (1 - t / 4) ** 0.9 for t in passed], rel=1e-6)
    saved = interrupted(monkeypatch, tmp_path / "parts", 3, **settings)  # at the small one
    run(tmp_path / "parts", resume=saved)
    assert difference(tmp_path / "whole/last.params", tmp_path / "parts/last.params") == 0
    for wrong in ({"contexts": ("cpu", "cpu")}, {"train__accumulate": 2}):
        with pytest.raises(UsageError, match="keep_last needs one device"):
            run(tmp_path / "wrong", **settings, **wrong)
