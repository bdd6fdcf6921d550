"""Every published recipe is a valid experiment: keys, data set, network, loss, transform, sizes."""

import functools
from pathlib import Path

import pytest

from mxnetseg import build, config, data, losses
from mxnetseg.inference.protocol import Protocol

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "configs").glob("**/*.yaml"))


@functools.lru_cache(maxsize=None)
def create(model, num_classes):
    """The network of a section as JSON, its parameters empty; recipes share networks."""
    model = config.Model.model_validate_json(model)
    return build.create_network(model, num_classes, initialize=False)


@pytest.mark.parametrize("path", [pytest.param(p, id=f"{p.parent.name}/{p.stem}") for p in FILES])
def test_a_recipe_is_a_valid_experiment(path):
    experiment = config.build(file=path)
    section = experiment.data
    files = {k: v for k, v in section.options.items() if k != "scenes"}
    synthetic = section.name == "synthetic"
    info = data.info(section.name, **({} if synthetic else files))
    if info.splits:
        assert {section.train_split, section.val_split} <= set(info.splits)

    weights = experiment.loss.class_weights
    num_classes = info.num_classes if isinstance(weights, list) else 2
    experiment.model.backbone_weights = experiment.model.weights = None
    net = create(experiment.model.model_dump_json(), num_classes)
    losses.create(
        experiment.loss.name, net, experiment.loss.aux_weights,
        class_weights=None if isinstance(weights, str) else weights, **experiment.loss.options,
    )  # fmt: skip
    if experiment.train.crop_size is not None:
        size = config.pair(experiment.train.crop_size)
        assert size == net.valid_size(*size)
        build.transform(experiment, info)
    Protocol.from_config(experiment)


@pytest.mark.parametrize("path", [pytest.param(p, id=f"{p.parent.name}/{p.stem}") for p in FILES])
def test_the_header_says_how_to_run_it_and_what_to_expect(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    header = "\n".join(line for line in lines if line.startswith("#"))
    assert lines[0].startswith("# ")
    assert f"--config {path.relative_to(ROOT).as_posix()}" in header
    words = ("published", "Published", "Expected")
    assert any(word in header for word in words)
