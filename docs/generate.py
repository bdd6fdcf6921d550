"""Write the pages that follow from the code: docs/settings.md and docs/commands.md.

Run it from the repository's root after a change of the schema or of a command: ``make docs``.
"""

import argparse
import json
import sys
import typing
from pathlib import Path

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


def settings():
    """The text of settings.md: every key of the experiment, with values and default."""
    lines = [SETTINGS]
    for name, field in config.Experiment.model_fields.items():
        section = field.annotation
        lines += ["", f"## {name}", "", section.__doc__.strip(), ""]
        lines += ["| key | values | default | meaning |", "|---|---|---|---|"]
        for key, value in section.model_fields.items():
            default = json.dumps(value.get_default(call_default_factory=True))
            cells = (f"`{key}`", _values(value), f"`{default}`", value.description or "")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
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
        meaning = (action.help or "").replace("|", "\\|")
        if action.choices:
            meaning += (": " if meaning else "") + ", ".join(f"`{c}`" for c in action.choices)
        lines.append(f"| {_argument(action)} | {meaning} |")
    return lines


def _paragraphs(text):
    return "\n\n".join(" ".join(part.split()) for part in (text or "").strip().split("\n\n"))


def _argument(action):
    names = ", ".join(f"`{s}`" for s in sorted(action.option_strings, key=len, reverse=True))
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    if isinstance(value, tuple):
        value = " ".join(value)
    if action.nargs == 0:
        value = ""
    elif action.nargs in ("+", "*"):
        value += " ..."
    if not action.option_strings:
        return f"`{value}`"
    return f"{names} {value}".strip()


PAGES = {"settings.md": settings, "commands.md": commands}

if __name__ == "__main__":
    for page, text in PAGES.items():
        (DOCS / page).write_text(text(), encoding="utf-8")
