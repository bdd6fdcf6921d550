"""Segment images, folders or globs."""

import sys

from . import arguments as shared
from . import places

HELP = "segment images, folders or globs"
EXAMPLES = """examples:
  mxnetseg predict --checkpoint best.params photo.jpg folder/ -o out
  mxnetseg predict 'holiday/*.png' --ms --ctx cpu"""


def arguments(parser):
    parser.add_argument("images", nargs="+", help="files, folders, quoted patterns")
    shared.out(parser)
    shared.devices(parser)
    shared.protocol(parser)
    shared.settings(parser, "eval.KEY=VALUE")
    shared.network(parser)
    parser.add_argument("--checkpoint", metavar="FILE", help="default: the newest best.params")


def run(args):
    from .. import checkpoint, runtime
    from ..inference.backend import MXNetBackend
    from ..inference.predictor import Predictor, find_images, predict_files

    saved = places.checkpoint(args)
    about = saved.description
    contexts = runtime.contexts(args.ctx)
    protocol = shared.asked_protocol(args, saved, about)
    files = find_images(args.images)
    backend = MXNetBackend(checkpoint.network(saved, contexts), contexts, about.mean, about.std)
    out = places.out(args, "predict")
    failures = predict_files(Predictor(backend, about, protocol), files, out)
    for failure in failures:
        print(f"mxnetseg: {failure}", file=sys.stderr)
    print(f"{len(files) - len(failures)} of {len(files)} images predicted -> {out}")
    return 1 if failures else 0
