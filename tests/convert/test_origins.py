"""What every origin's file must hold, and that each knows its own checkpoints."""

import re
from pathlib import Path

import numpy as np
import pytest

from mxnetseg import backbones, cli, convert, models
from mxnetseg.convert import classifiers, guess, origins
from mxnetseg.convert.shapes import Shapes
from mxnetseg.errors import UsageError
from tests.reference import synthetic

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = sorted((ROOT / "tests/reference").glob("*/*.json"))


@pytest.mark.parametrize("name", origins.CODE_BASES)
def test_a_code_base_says_all_that_is_asked(name):
    origin = origins.get(name)
    assert origin.TITLE and origin.SIGNS and origin.__doc__
    for function in (origin.create, origin.original_names, origin.unused, origin.guess):
        assert callable(function)
    assert origin.HOMES and set(origin.HOMES) <= set(models.names())
    assert all(re.compile(pattern) for pattern in origin.HOMES.values())
    assert all(isinstance(options, dict) for options in origin.DATA_OPTIONS.values())


@pytest.mark.parametrize("name", origins.LIBRARIES)
def test_a_library_says_all_that_is_asked(name):
    origin = origins.get(name)
    assert origin.TITLE and origin.SIGNS and origin.KNOWN and origin.__doc__
    assert origin.backbone({}) is None
    with pytest.raises(UsageError, match=f"no classifier of {origin.TITLE}"):
        classifiers.identify(name, {})


def test_a_network_has_one_home_at_most():
    homes = [network for name in origins.CODE_BASES for network in origins.get(name).HOMES]
    assert len(homes) == len(set(homes))


def test_the_command_and_the_docs_name_all_origins(capsys):
    with pytest.raises(SystemExit):
        cli.main(["convert", "--help"])
    text = capsys.readouterr().out
    lines = (ROOT / "docs/checkpoints.md").read_text(encoding="utf-8").splitlines()
    table = "\n".join(line for line in lines if line.startswith("| `"))
    for name in origins.NAMES:
        assert re.search(rf"\b{name}\b", text), name
        assert f"`{name}`" in table, name


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_signs_tell_recorded_checkpoints_apart(path):
    spec = synthetic.manifest(path)
    if spec["system"] not in origins.NAMES:
        pytest.skip("single modules are no checkpoints")
    shapes = Shapes((guess.bare(name), tuple(shape)) for name, shape in spec["parameters"])
    assert f"--from {spec['system']}." in guess.hint("", shapes)
    assert guess.hint(spec["system"], shapes) == ""


def library_names(library, backbone):
    """{a library's name: shape} of one of our backbones, by rules of its own."""
    out = {}
    for name, p in backbones.create(backbone)._collect_params_with_prefix().items():
        path, _, leaf = name.rpartition(".")
        leaf = {"gamma": "weight", "beta": "bias"}.get(leaf, leaf)
        out[f"{RULES[library](path.split('.'))}.{leaf}"] = (name, p.shape)
    return out


def _densenet(dot):
    def rule(parts):
        if parts[0] == "stem":
            return f"features.{ {'0': 'conv0', '1': 'norm0'}[parts[1]] }"
        stage = int(parts[0][-1])
        if parts == ["layer4", "2"]:
            return "features.norm5"
        if stage > 1 and parts[1] == "0":
            return f"features.transition{stage - 1}.{ {'0': 'norm', '2': 'conv'}[parts[2]] }"
        unit, part = int(parts[2]) + 1, {"0": "norm1", "2": "conv1", "3": "norm2", "5": "conv2"}
        part = part[parts[4]]
        part = f"{part[:-1]}.{part[-1]}" if dot else part
        return f"features.denseblock{stage}.denselayer{unit}.{part}"

    return rule


def _number(parts):
    """The number of a MobileNetV2 block, from 1."""
    first = {"layer1": -2, "layer2": 4, "layer3": 7, "layer4": 14}
    return first[parts[0]] + int(parts[1])


def _torchvision_mobilenet(parts):
    if len(parts) == 2:
        return f"features.0.{parts[1]}"
    number, at = _number(parts), int(parts[3])
    last = 3 if number == 1 else 6
    tail = f"{at // 3}.{at % 3}" if at < last else f"{last // 3 + at - last}"
    return f"features.{number}.conv.{tail}"


def _timm_mobilenet(parts):
    if len(parts) == 2:
        return {"0": "conv_stem", "1": "bn1"}[parts[1]]
    number, at = _number(parts), int(parts[3]) // 3 * 2 + int(parts[3]) % 3
    stages = (1, 2, 3, 4, 3, 3, 1)
    stage = next(s for s in range(7) if number <= sum(stages[: s + 1]))
    first, others = ("conv_dw", "bn1", "conv_pw", "bn2"), ("conv_pw", "bn1", "conv_dw", "bn2",
                                                           "conv_pwl", "bn3")  # fmt: skip
    part = (first if number == 1 else others)[at]
    return f"blocks.{stage}.{number - 1 - sum(stages[:stage])}.{part}"


RULES = {
    "torchvision": _torchvision_mobilenet,
    "timm": _timm_mobilenet,
    "tonylins": lambda parts: (
        f"features.0.{parts[1]}"
        if len(parts) == 2
        else f"features.{_number(parts)}.conv.{parts[3]}"
    ),
    "densenet": _densenet(dot=False),
    "densenet of 2017": _densenet(dot=True),
}


@pytest.mark.parametrize(
    "rules, library, backbone",
    [
        ("torchvision", "torchvision", "mobilenet_v2_1_0"),
        ("timm", "timm", "mobilenet_v2_1_0"),
        ("tonylins", "tonylins", "mobilenet_v2_1_0"),
        ("densenet", "torchvision", "densenet121"),
        ("densenet of 2017", "torchvision", "densenet121"),
        ("densenet", "timm", "densenet169"),
    ],
)
def test_classifiers_are_recognised_and_renamed(rules, library, backbone):
    names = library_names(rules, backbone)
    shapes = {theirs: shape for theirs, (_, shape) in names.items()}
    shapes["classifier.weight"] = (1000, 8)
    if backbone.startswith("mobilenet"):  # a convolution behind the last block
        shapes["conv_head.weight" if library == "timm" else "features.18.0.weight"] = (8, 8, 1, 1)
    counters = {k.replace("running_var", "num_batches_tracked"): () for k in shapes}
    found, renamed = classifiers.identify(library, {**counters, **shapes})
    assert found == backbone
    assert renamed == {ours: theirs for theirs, (ours, _) in names.items()}
    wrapped = {f"module.{k}": shape for k, shape in {**counters, **shapes}.items()}
    again = {ours: f"module.{theirs}" for ours, theirs in renamed.items()}
    assert classifiers.identify(library, wrapped) == (backbone, again)
    sign = "torchvision" if rules.startswith("densenet") else library
    assert f"--from {sign}." in guess.hint("", Shapes(shapes))


def test_a_file_given_to_the_wrong_library_is_told_its_own():
    shapes = {theirs: s for theirs, (_, s) in library_names("tonylins", "mobilenet_v2_1_0").items()}
    for wrong in ("torchvision", "timm", "gluoncv"):
        with pytest.raises(UsageError, match="no classifier of.*--from tonylins"):
            classifiers.identify(wrong, shapes)
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    with pytest.raises(UsageError, match="no checkpoint of MLMSNet.*--from tonylins"):
        guess.complete("mlmsnet", {}, state)


def test_other_sizes_are_refused():
    names = library_names("tonylins", "mobilenet_v2_1_0")
    shapes = {theirs: shape for theirs, (_, shape) in names.items()}
    shapes["features.2.conv.0.weight"] = (80, 16, 1, 1)
    with pytest.raises(UsageError, match="more sizes than there are here"):
        classifiers.identify("tonylins", shapes)


def test_unknown_origins_are_refused_with_near_matches():
    for name, known in (("pidnets", "pidnet"), ("torchvison", "torchvision")):
        with pytest.raises(UsageError, match=f"'{name}'.*{known}"):
            origins.get(name)
    with pytest.raises(UsageError, match="semseg"):
        convert.create("semsegg", {})
