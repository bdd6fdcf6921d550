"""Every recipe of an original is what was published: nothing else, and nothing is missing."""

import dataclasses

import pytest
import yaml

from mxnetseg import build, cli, config, data
from mxnetseg.inference.protocol import Protocol

from . import facts, table

NAMES = sorted(facts.RECIPES)
# Settings that change no result: speed, and what is written.
FREE = ("data.root", "data.workers", "train.log_interval", "train.save_minutes", "log.wandb")


def flat(text):
    """{section.key: value} of an experiment's YAML."""
    tree = yaml.safe_load(text)
    return {f"{s}.{k}": value for s, section in tree.items() for k, value in section.items()}


def recipe(name):
    return config.build(file=facts.ROOT / f"configs/{name}.yaml")


def test_the_table_has_every_recipe():
    files = sorted((facts.ROOT / "configs").glob("*/*.yaml"))
    names = [f"{file.parent.name}/{file.stem}" for file in files]
    assert names == sorted([*facts.RECIPES, *facts.FACTS["own"]])
    assert not facts.UNKNOWN


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_what_was_published(name, capsys):
    file = facts.ROOT / f"configs/{name}.yaml"
    assert cli.main(["train", "--config", str(file), "--print-config"]) == 0
    found = flat(capsys.readouterr().out)
    expected = flat(config.to_yaml(config.Experiment()))
    published = facts.settings(name)
    assert set(published) <= set(expected)
    expected.update(published)
    for key in ("augment.options", "model.weights", "model.backbone_weights", *FREE):
        del expected[key], found[key]  # the first three: see the other tests
    numbers = ("optim.lr", "optim.weight_decay")
    assert {k: found.pop(k) for k in numbers} == pytest.approx(
        {k: expected.pop(k) for k in numbers}, rel=1e-12
    )
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_transforms_as_published(name):
    experiment, row = recipe(name), facts.RECIPES[name]
    info = data.info(experiment.data.name, **experiment.data.options)
    boundary = row["loss"] == "boundary_aware"
    found = dataclasses.asdict(build.transform(experiment, info, boundary))
    assert list(found.pop("crop_size")) == list(config.pair(row["crop"]))
    assert found.pop("base_size") == row["base"]
    assert found.pop("mirror") == info.mirror
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in found.items()}
    assert plain == facts.transform(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_scored_as_published(name):
    protocol, expected = Protocol.from_config(recipe(name)), facts.windows(name)
    assert protocol.scales == ((0.5,) if protocol.preset == "pmsdsen" else (1.0,))
    assert protocol.flip == (protocol.preset in ("semseg", "mlmsnet"))
    if expected is None:
        assert protocol.mode == "whole"
    else:
        crop, stride, base = expected
        assert (protocol.mode, protocol.base_size) == ("slide", base)
        assert (protocol.crop_size, protocol.step) == ((crop, crop), (stride, stride))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_starts_where_the_original_did(name):
    model, row = recipe(name).model, facts.RECIPES[name]
    start = {
        "random": (None, None),
        "imagenet": (None, "imagenet"),
        "cityscapes": (None, f"weights/{row['network']}/{name.split('/')[1].split('_scratch')[0]}"),
        "stage1": ("weights/pmsdsen/stage1/best.params", None),
    }[row["start"]]
    if row["start"] == "cityscapes":
        start = (None, start[1] + "_cityscapes.params")
    if row["start"] == "imagenet" and row["source"] != "MXNetSeg":
        own = row["backbone"] if "backbone" in row else name.split("/")[1].replace("_trainval", "")
        start = (None, f"weights/imagenet/{own}.params")
    assert (model.weights, model.backbone_weights) == start


@pytest.mark.parametrize("name", NAMES)
def test_steps_of_the_header(name):
    """Where a header says how long a run is, it is as long."""
    row = facts.RECIPES[name]
    text = (facts.ROOT / f"configs/{name}.yaml").read_text(encoding="utf-8")
    steps = row["images"] // row["batch"] * row["epochs"]
    if "Length: " in text:
        assert f"Length: {steps:,} steps".replace(",", " ") in text
    assert "not known" not in text.lower()


@pytest.mark.parametrize("name", NAMES)
def test_the_header_has_the_score(name):
    text = (facts.ROOT / f"configs/{name}.yaml").read_text(encoding="utf-8")
    header = "".join(line for line in text.splitlines() if line.startswith("#"))
    words = str(facts.RECIPES[name]["score"]).replace("/", " ").split()
    for number in (w for w in words if w not in ("test", "–")):
        assert number in header or f".{number.replace('.', '')}" in header


def test_the_page_has_these_tables():
    path = facts.ROOT / "docs/recipes.md"
    text = path.read_text(encoding="utf-8")
    assert table.page(text) == text, "write it anew: python -m tests.recipes"
    assert all(lines in text for lines in table.tables().values())
