"""Make masks and lists of what the authors of a data set distribute."""

from ..columns import counted
from ..errors import UsageError
from . import arguments as shared

HELP = "make masks and lists of what authors distribute"
EXAMPLES = """examples:
  mxnetseg prepare cityscapes --data-root /data/Cityscapes
  mxnetseg prepare sbd --data-root /data/SBD --out /data/VOCaug"""


def arguments(parser):
    shared.data(parser, "dataset", split=None)
    shared.out(parser, "default: beside the originals")
    parser.add_argument("--workers", type=int, help="threads; default: all cores")


def run(args):
    from .. import progress
    from ..data import info, layout, prepare

    name = args.dataset or args.data
    if name is None:
        raise UsageError("Name the data set: mxnetseg prepare cityscapes --data-root DIR.")
    root = args.data_root or layout.default_root(info(name))
    over = progress.over("preparing")
    result = prepare.prepare(name, root, args.out, args.workers, over)
    print(f"{counted(result.made, 'file')} made, {result.there} there already.")
    print(f"Look at it: mxnetseg check --data {result.data or name} --data-root {result.out}")
    return 0
