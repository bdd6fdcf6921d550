"""List the networks, or describe one."""

import gc
import json

from . import arguments as shared

HELP = "list the networks, or describe one"
EXAMPLES = """examples:
  mxnetseg models
  mxnetseg models bisenet --backbone resnet18 --json"""


def arguments(parser):
    parser.add_argument("name", nargs="?", help="default: a table of all")
    parser.add_argument("--backbone", help="default: each network's own; with a name: all")
    parser.add_argument(
        "--classes", type=shared.positive, default=19, help="for the parameter counts"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args):
    gc.disable()  # networks are many small objects, and each search through them frees few
    try:
        rows, text = _look_up(args)
    finally:
        gc.enable()
    print(json.dumps(rows, indent=1) if args.json else text(rows))


def _look_up(args):
    """(facts, the function that makes text of them)."""
    from ..models import table

    if args.name is None:
        return table.table(args.backbone, args.classes), table.as_text
    if args.backbone:
        return [table.facts(args.name, args.backbone, args.classes)], table.as_text_of
    return table.table_of(args.name, args.classes), table.as_text_of
