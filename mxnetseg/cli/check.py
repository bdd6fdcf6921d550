"""Look for mistakes in a data set."""

import json

from . import arguments as shared

HELP = "look for mistakes in a data set"
EXAMPLES = """examples:
  mxnetseg check --data mydata
  mxnetseg check --data cityscapes --data-root /data/Cityscapes --split val"""


def arguments(parser):
    shared.data(parser)
    shared.experiment(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args):
    from ..data import check

    section = shared.data_section(args)
    report = check.check(section.name, args.split, section.root, **section.options)
    print(json.dumps(report.as_dict(), indent=1) if args.json else report.as_text())
    return 0 if report.ok else 1
