"""The experiment's schema: layers, overrides, and what wrong keys are told."""

import pytest
import yaml

from mxnetseg import config
from mxnetseg.errors import UsageError


def test_flags_go_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("train: {epochs: 3, batch_size: 2}\nmodel: {name: bisenet}\n")
    experiment = config.build({"train.epochs": 7}, file=file)
    assert (experiment.train.epochs, experiment.train.batch_size) == (7, 2)
    assert (experiment.model.name, experiment.optim.lr) == ("bisenet", 0.01)


def test_what_is_printed_can_be_read_again():
    experiment = config.build({"train.crop_size": [3, 4], "optim.schedule": "step"})
    assert config.parse(yaml.safe_load(config.to_yaml(experiment))) == experiment


def test_overrides_are_yaml():
    texts = ["train.crop_size=[96, 128]", "optim.lr=1e-3", "model.aux=false", "data.root=a=b"]
    assert config.overrides(texts) == {
        "train.crop_size": [96, 128],
        "optim.lr": "1e-3",
        "model.aux": False,
        "data.root": "a=b",
    }
    assert config.build(config.overrides(texts)).optim.lr == 0.001


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("train.epoch", 3, "Unknown key 'train.epoch'. Did you mean train.epochs"),
        ("epochs", 3, "Did you mean train.epochs"),
        ("trian.epochs", 3, "Did you mean train"),
        ("train.epochs", "many", "train.epochs cannot be 'many'"),
        ("train.crop_size", 0, r"it is a side, or \[height, width\], of 1 pixel or more"),
        ("train.crop_size", [1, 2, 3], r"it is a side, or \[height, width\]"),
        ("eval.stride", [8, -8], r"it is a side, or \[height, width\]"),
        ("optim.lr", float("inf"), "finite"),
        ("train", 3, "'train' is a section"),
        ("optim.lr", -1, "optim.lr cannot be -1: input should be greater than 0"),
        ("optim.schedule", "pol", "'poly'"),
        ("train.crop_size", "big", "train.crop_size cannot be 'big'"),
        ("loss.class_weights", [1, "many"], "loss.class_weights cannot be 'many'"),
    ],
)
def test_wrong_keys_and_values_are_explained(key, value, message):
    with pytest.raises(UsageError, match=message):
        config.build({key: value})


@pytest.mark.parametrize("text", ["a: [", "- 1\n- 2\n", "just text"])
def test_a_file_that_is_no_configuration(tmp_path, text):
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=str(file)):
        config.build(file=file)
    with pytest.raises(UsageError, match="cannot be read"):
        config.build(file=tmp_path / "none.yaml")


def test_class_weights_are_numbers_or_a_rule():
    for value in ("auto:enet", "auto:median", "auto:inverse_log", [1.0, 2.0], None):
        assert config.build({"loss.class_weights": value}).loss.class_weights == value
    with pytest.raises(UsageError, match="one of auto:median, auto:enet"):
        config.build({"loss.class_weights": "auto:ennet"})
