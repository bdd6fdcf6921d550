"""A table of trainings: network, data, best mIoU, time, and the settings in which they differ."""

from pathlib import Path

from . import arguments as shared
from . import networks, places

HELP = "compare trainings: a table, CSV, Markdown, or a plot of their curves"
EXAMPLES = """examples:
  mxnetseg runs
  mxnetseg runs weights/bisenet --csv runs.csv --plot runs.png
  mxnetseg runs runs/table --costs --size 360 480 --markdown table.md"""


def arguments(parser):
    parser.add_argument(
        "folder", nargs="?", metavar="DIR", help="where to look for log.jsonl; default: weights"
    )
    parser.add_argument("--csv", metavar="FILE", help="write the table as CSV")
    parser.add_argument("--markdown", metavar="FILE", help="write the table for a page")
    parser.add_argument("--plot", metavar="FILE", help="draw losses and mIoU as PNG")
    parser.add_argument(
        "--costs", action="store_true",
        help="measure the networks too: parameters, multiply-adds, images/s on this machine",
    )  # fmt: skip
    networks.size_argument(parser, "of --costs, a side, or height and width; default: 1024 2048")
    shared.devices(parser)


def run(args):
    from .. import files, runs

    found = runs.find(args.folder or places.home() / "weights")
    costs = _costs(found, args) if args.costs else None
    print(runs.as_text(found, costs))
    if args.csv:
        files.write(Path(args.csv), runs.as_csv(found, costs))
    if args.markdown:
        files.write(Path(args.markdown), runs.as_markdown(found, costs))
    if args.plot:
        files.write(Path(args.plot), runs.plot(found))


def _costs(found, args):
    from .. import costs, progress, runtime

    with progress.bar("measuring", unit="pass") as bar:
        return costs.measure(found, networks.size(args), runtime.contexts(args.ctx)[:1], bar)
