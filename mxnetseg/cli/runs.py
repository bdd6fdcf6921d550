"""A table of trainings: network, data, best mIoU, time, and the settings in which they differ."""

from pathlib import Path

from . import places

HELP = "compare trainings: a table, CSV, or a plot of their curves"
EXAMPLES = """examples:
  mxnetseg runs
  mxnetseg runs weights/bisenet --csv runs.csv --plot runs.png"""


def arguments(parser):
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="where to look for log.jsonl; default: weights"
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table as CSV")
    parser.add_argument("--plot", metavar="FILE", help="draw losses and mIoU as PNG")


def run(args):
    from .. import files, runs

    found = runs.find(args.folder or places.home() / "weights")
    print(runs.as_text(found))
    if args.csv:
        files.write(Path(args.csv), runs.as_csv(found))
    if args.plot:
        files.write(Path(args.plot), runs.plot(found))
