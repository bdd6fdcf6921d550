"""Write the pages that follow from code and facts: docs/settings.md, commands.md and zoo.md.

Run it from the repository's root after a change of the schema or of a command: ``make docs``.
"""

import argparse
import json
import re
import sys
import typing
from pathlib import Path

import yaml

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

from mxnetseg import config  # noqa: E402
from mxnetseg.cli.main import VERBS, build_parser  # noqa: E402

SETTINGS = """# Settings

All keys of an experiment: in a YAML file (`--config`), or one by one with
`--set SECTION.KEY=VALUE`.
`mxnetseg train --print-config` shows the result of defaults, file and command line together.
Unknown keys are refused, with the nearest known one.
This page is made from the schema, `mxnetseg/config.py`."""

COMMANDS = """# Commands

`mxnetseg <verb> --help` says the same. This page is made from the parsers in `mxnetseg/cli`."""


ZOO = """# Published checkpoints

Every score that the six code bases publish for a checkpoint or a run: where the file can be had,
how it becomes one of ours, and the command that scores it. A converted checkpoint answers as the
original does and is evaluated by its origin's own protocol ([evaluation](evaluation.md)).

mIoU in percent as published, on the validation split unless it says `test`. On a whole split it is
`miou` of `results.json`; `miou_published_rule` there is the mean as the original takes it. With
`--ms` the command gives the second score. The recipe is the training run, as far as it is known.

Nothing is downloaded by itself: FILE is by the links in the repository's README, where it has any.
This page is made from `docs/zoo.yaml`."""


def settings():
    """The text of settings.md: every key of the experiment, with values and default."""
    lines = [SETTINGS]
    for name, field in config.Experiment.model_fields.items():
        section = field.annotation
        lines += ["", f"## {name}", "", section.__doc__.strip(), ""]
        lines += ["| key | values | default | meaning |", "|---|---|---|---|"]
        for key, value in section.model_fields.items():
            default = json.dumps(value.get_default(call_default_factory=True))
            cells = (f"`{key}`", _values(value), f"`{default}`", _plain(value.description or ""))
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _values(field):
    """A type in words, with its bounds."""
    bounds = []
    for bound in field.metadata:
        for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if hasattr(bound, name):
                bounds.append(f"{sign} {getattr(bound, name)}")
    return ", ".join([_words(field.annotation), *bounds])


def _words(kind):
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return ", ".join(f"`{a}`" for a in arguments)
    if origin is typing.Union:
        return " or ".join(_words(a) for a in arguments if a is not type(None))
    if origin is list:
        return f"list of {_words(arguments[0])}"
    if origin is tuple:
        return f"({', '.join(_words(a) for a in arguments)})"
    if origin is dict:
        return "mapping"
    plain = {int: "whole number", float: "number", str: "text", bool: "true, false"}
    return plain.get(kind, getattr(kind, "__name__", str(kind)))


def commands():
    """The text of commands.md: every command with its arguments."""
    parser = build_parser()
    (verbs,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    lines = [COMMANDS]
    for name in VERBS:
        own = verbs.choices[name]
        lines += ["", f"## {name}", "", _paragraphs(own.description), "", *_table(own)]
        for action in own._actions:
            if isinstance(action, argparse._SubParsersAction):
                for what, inner in action.choices.items():
                    lines += ["", f"### {name} {what}", "", f"{_paragraphs(inner.description)}."]
                    lines += ["", *_table(inner)]
        examples = own.epilog.split("\n", 1)[1]
        lines += ["", "```", *(line.strip() for line in examples.splitlines()), "```"]
    return "\n".join(lines) + "\n"


def _table(parser):
    """The arguments of a parser."""
    lines = ["| argument | meaning |", "|---|---|"]
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or "--help" in action.option_strings:
            continue
        meaning = _plain((action.help or "").replace("%%", "%"))
        if action.choices:
            meaning += (": " if meaning else "") + ", ".join(f"`{c}`" for c in action.choices)
        lines.append(f"| {_argument(action)} | {meaning} |")
    return lines


def _plain(text):
    """Text of a program for a cell of a table: shown as it is, but for what stands in `code`."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [re.sub(r"([<*])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _paragraphs(text):
    return "\n\n".join(" ".join(part.split()) for part in (text or "").strip().split("\n\n"))


def _argument(action):
    names = ", ".join(f"`{s}`" for s in sorted(action.option_strings, key=len, reverse=True))
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if isinstance(value, tuple):
        value = " ".join(value)
    value = value.replace("|", "\\|")
    if action.nargs == 0:
        value = ""
    elif action.nargs in ("+", "*") and not value.endswith("..."):
        value += " ..."
    if not action.option_strings:
        return f"`{value}`"
    return f"{names} {value}".strip()


def zoo():
    """The text of zoo.md: every published score, with the commands that reproduce it."""
    facts = yaml.safe_load((DOCS / "zoo.yaml").read_text(encoding="utf-8"))
    lines = [ZOO]
    for name, origin in facts["origins"].items():
        lines += ["", f"## {origin['title']}", ""]
        link = f"[{origin['repository'].rpartition('com/')[2]}]({origin['repository']})"
        lines += [f"{link}: {origin['files']}", f"Scores: {origin['score']}", ""]
        lines += ["| recipe | mIoU | mIoU, `--ms` | convert | evaluate |", "|---|---|---|---|---|"]
        own = [entry for entry in facts["checkpoints"] if entry["from"] == name]
        scores = [score for entry in own for score in entry["miou"] if score is not None]
        digits = 1 if all(round(score, 1) == score for score in scores) else 2  # as published
        lines += [_checkpoint(entry, digits, facts["origins"]) for entry in own]
    return "\n".join(lines) + "\n"


def _checkpoint(entry, digits, origins):
    """A row of zoo.md."""
    recipe = entry["recipe"]
    file, ours = entry.get("file", "FILE"), f"{recipe.replace('/', '_')}.params"
    about = config.build(file=DOCS.parent / f"configs/{recipe}.yaml").data.name
    say = f" --build '{json.dumps(entry['say'])}'" if "say" in entry else ""
    split = " --split test" if entry["split"] == "test" else ""
    scores = ["–" if score is None else f"{score:.{digits}f}" for score in entry["miou"]]
    if split:
        scores = [s if s == "–" else f"test {s}" for s in scores]
    if "test" in entry:
        scores[0] += f" (test {entry['test']})"
    if "by" in entry:
        scores[0] += f" (in {origins[entry['by']]['title']}'s README)"
    evaluate = f"`mxnetseg eval --checkpoint {ours} --data-root DIR{split}`"
    if split and about == "cityscapes":  # its truth is not public
        evaluate = f"`mxnetseg eval --checkpoint {ours} --data-root DIR --mode test --submission`"
    return (
        f"| [{recipe}](../configs/{recipe}.yaml) | {scores[0]} | {scores[1]} "
        f"| `mxnetseg convert --from {entry['from']} {file} -o {ours} --data {about}{say}` "
        f"| {evaluate} |"
    )


PAGES = {"settings.md": settings, "commands.md": commands, "zoo.md": zoo}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (DOCS / page).write_text(text(), encoding="utf-8")
