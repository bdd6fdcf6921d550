"""README and docs show what is there: their commands, files and examples are real."""

import importlib.util
import inspect
import os
import re
import shlex
from pathlib import Path

import mxnet as mx
import pytest

from mxnetseg import cli, config, convert, models
from mxnetseg.cli import arguments
from mxnetseg.cli.main import VERBS, build_parser
from mxnetseg.errors import UsageError
from mxnetseg.models import base

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(text, language=""):
    """What stands between ```language and ```."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    return [block for kind, block in found if kind == language]


def commands(text):
    """Every ``mxnetseg <verb> ...``, in blocks of commands and in the midst of sentences."""
    lines = [line for block in blocks(text) for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    lines += re.findall(r"`(mxnetseg [^`]+)`", prose)
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("mxnetseg ")]
    words = [w[1 : w.index("|") if "|" in w else None] for w in words]  # of a pipe, its first part
    return [w for w in words if w[:1] != ["<verb>"]]


ALL = [
    pytest.param(c, id=f"{p.stem}: {' '.join(c)}") for p in PAGES for c in commands(p.read_text())
]


def parsed(command):
    """The arguments of a command and, of one that has an experiment, its settings."""
    if len(command) == 1:  # in a sentence about the verb
        assert command[0] in (*VERBS, "--help", "--version")
        return
    args = build_parser().parse_args(command)
    if args.verb == "train" and not args.resume:
        file = ROOT / args.config if args.config else None
        config.build(arguments.flags(args), file=file if file and file.exists() else None)


@pytest.mark.parametrize("command", ALL)
def test_every_command_is_understood(command):
    parsed(command)


@pytest.mark.parametrize("page", ("settings.md", "commands.md", "zoo.md"))
def test_generated_pages_are_current(page):
    path = ROOT / "docs/generate.py"
    spec = importlib.util.spec_from_file_location("generate", path)
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == generate.PAGES[page](), (
        "run `make docs`"
    )


def test_the_index_links_every_page():
    index = (ROOT / "docs/index.md").read_text()
    others = {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert [name for name in sorted(others) if f"({name})" not in index] == []


def test_the_readme_lists_every_command():
    assert re.findall(r"^\| `mxnetseg (\w+)` \|", (ROOT / "README.md").read_text(), re.M) == [
        *VERBS
    ]


def test_there_are_commands_and_wrong_ones_are_found():
    assert len(ALL) > 40
    page = "A `mxnetseg evla` and\n\n```\nmxnetseg train --set optim.lrr=1  # note\n```\n"
    assert commands(page) == [["train", "--set", "optim.lrr=1"], ["evla"]]
    for wrong in [*commands(page)[:1], ["eval", "--checkpiont", "x"], ["predict"]]:
        with pytest.raises((UsageError, AssertionError)):
            parsed(wrong) if wrong != ["predict"] else build_parser().parse_args(wrong)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_file_of_ours_that_is_named_exists(page):
    named = re.findall(r"`((?:mxnetseg|tests|docs|configs|demo)/[\w./*-]+)`", page.read_text())
    linked = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text())
    missing = [n for n in named if not any(ROOT.glob(n.rstrip("/")))]
    missing += [n for n in linked if n and not (page.parent / n).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_section_that_is_linked_exists(page):
    for target, section in re.findall(r"\]\(([\w./-]*)#([\w-]+)\)", page.read_text()):
        text = (page.parent / target if target else page).read_text()
        titles = re.findall(r"^#+ (.*)$", text, re.M)
        anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles]
        assert section in anchors


@pytest.mark.parametrize("name", models.names())
def test_every_option_of_a_network_is_described(name):
    network = base.find(name)
    text = network.__doc__.split("Args:")[-1]
    if "see :class:" in text:
        text = base.find("mlmsnet").__doc__.split("Args:")[-1]
    options = set(inspect.signature(network).parameters)
    assert [
        o for o in options - {"num_classes", "backbone", "aux"} if not re.search(rf"\b{o}\b", text)
    ] == []


@pytest.mark.parametrize(
    "page, file",
    [
        ("docs/new-network.md", "mxnetseg/models/fcn.py"),
        ("docs/development.md", "mxnetseg/data/catalog/aeroscapes.yaml"),
        ("docs/development.md", "mxnetseg/convert/tonylins.py"),
        ("docs/development.md", "mxnetseg/cli/datasets.py"),
    ],
)
def test_examples_are_the_real_files(page, file):
    assert (ROOT / file).read_text(encoding="utf-8") in (ROOT / page).read_text(encoding="utf-8")


def test_the_example_in_python():
    (code,) = blocks((ROOT / "docs/python.md").read_text(), "python")
    build = {"network": "FCNResNet", "nclass": 19, "backbone": "resnet50"}
    fcn = models.create("fcn", 19, backbone="resnet50")
    names = {"images": mx.nd.zeros((1, 3, 32, 64))}
    names["state"] = convert.to_original("mxnetseg", build, fcn)
    exec(code, names)
    assert names["main"].shape == names["aux"].shape == (1, 19, 32, 64)
    assert names["net"].num_classes == 19


@pytest.mark.slow
def test_the_way_from_a_folder_to_a_trained_network(tmp_path, monkeypatch):
    """docs/own-data.md, from its drawn images to its predictions, as it stands there."""
    page = (ROOT / "docs/own-data.md").read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MXNETSEG_CACHE", str(tmp_path / "cache"))
    exec(blocks(page, "python")[0], {})
    (experiment,) = [b for b in blocks(page, "yaml") if b.startswith("model:")]
    (tmp_path / "mydata.yaml").write_text(experiment)
    ran = [c for block in blocks(page) for c in commands(f"```\n{block}```\n")]
    for command in ran:
        assert cli.main(command) == 0, command
    assert [c[0] for c in ran] == [
        "check", "browse", "browse", "stats", "train", "train", "eval", "predict"
    ]  # fmt: skip
    assert len(os.listdir("runs/predict/labels")) == 12
