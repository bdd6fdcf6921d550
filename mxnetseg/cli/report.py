"""A page that shows what was trained, how well it does, and where it fails."""

from pathlib import Path

from . import arguments as shared

HELP = "a page of scores, curves and the worst images"
EXAMPLES = """examples:
  mxnetseg report runs/eval/20240501-120000
  mxnetseg report weights/bisenet/a weights/bisenet/b -o compared.html"""


def arguments(parser):
    parser.add_argument("folders", nargs="+", metavar="DIR", help="of a training or an evaluation")
    parser.add_argument(
        "--out", "-o", metavar="FILE", help="default: report.html in the first folder"
    )
    shared.devices(parser)


def run(args):
    from .. import report

    path = Path(args.out) if args.out else Path(args.folders[0]) / "report.html"
    for note in report.write(args.folders, path, args.ctx):
        print(note)
    size = path.stat().st_size
    print(f"{path}: {size / 1e6:.1f} MB" if size >= 1e5 else f"{path}: {size / 1e3:.0f} kB")
    return 0
