"""docs/zoo.yaml: its networks, builds and recipes exist, and its commands work on such files."""

import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from mxnetseg import config, data
from mxnetseg.cli.main import build_parser
from mxnetseg.convert import guess, origins
from mxnetseg.convert.command import _data_options
from mxnetseg.inference.presets import PRESETS

from .recipes import facts

ROOT = Path(__file__).resolve().parents[1]
ZOO = yaml.safe_load((ROOT / "docs/zoo.yaml").read_text(encoding="utf-8"))
CHECKPOINTS = ZOO["checkpoints"]


def experiment(entry):
    return config.build(file=ROOT / f"configs/{entry['recipe']}.yaml")


def test_every_published_score_is_there():
    published = {name: row["score"] for name, row in facts.RECIPES.items() if row["score"] != "–"}
    assert [entry["recipe"] for entry in CHECKPOINTS] == list(published)
    for entry in CHECKPOINTS:
        score = str(published[entry["recipe"]])
        assert (entry["split"] == "test") == score.startswith("test ")
        numbers = score.replace("test ", "").split(" / ")
        assert entry["miou"] == [*(None if n == "–" else float(n) for n in numbers), None][:2]
    assert set(ZOO["origins"]) == set(origins.CODE_BASES) == set(PRESETS)
    assert {e["from"] for e in CHECKPOINTS} == set(PRESETS)


@pytest.mark.parametrize("entry", CHECKPOINTS, ids=[e["recipe"] for e in CHECKPOINTS])
def test_a_file_of_it_would_be_converted(entry):
    """From the names and shapes in a file, and ``say``, conversion makes the recipe's network."""
    origin, wanted = origins.get(entry["from"]), experiment(entry)
    net = origin.create(entry["build"])
    names = origin.original_names(net, entry["build"])
    parameters = net._collect_params_with_prefix()
    state = {names[ours]: SimpleNamespace(shape=p.shape) for ours, p in parameters.items()}
    build, _, _ = guess.complete(entry["from"], entry.get("say", {}), state)
    found = origin.create(build)
    shapes = {name: p.shape for name, p in found._collect_params_with_prefix().items()}
    assert shapes == {name: p.shape for name, p in parameters.items()}
    made = found.created_with
    for option, value in net.created_with.items():
        if value is not None:  # else a size by the variant, which conversion reads from the file
            assert str(made[option]).lower() == str(value).lower()

    assert made["name"] == wanted.model.name
    assert wanted.model.backbone in (None, made.get("backbone"))
    for option, value in wanted.model.options.items():
        if option != "pretrained_base":
            assert str(made[option]).lower() == str(value).lower() or list(made[option]) == value

    info = data.info(wanted.data.name)
    options = _data_options(entry["from"], found.num_classes, info.spec.options)
    assert data.info(wanted.data.name, **options).num_classes == found.num_classes
    for option, value in wanted.data.options.items():
        if option in ("classes", "order"):
            assert options[option] == value


def test_the_commands_are_commands():
    parser = build_parser()
    page = (ROOT / "docs/zoo.md").read_text(encoding="utf-8")
    commands = [shlex.split(c) for c in re.findall(r"`(mxnetseg (?:convert|eval) .*?)`", page)]
    assert len(commands) == 2 * len(CHECKPOINTS)
    for convert, evaluate in zip(commands[::2], commands[1::2]):
        made = parser.parse_args(convert[1:])
        scored = parser.parse_args(evaluate[1:])
        assert made.verb == "convert" and scored.verb == "eval"
        assert made.out == scored.checkpoint


def test_repositories_are_named():
    for origin in ZOO["origins"].values():
        assert origin["repository"].startswith("https://github.com/")
        assert origin["title"] and origin["files"] and origin["score"]
