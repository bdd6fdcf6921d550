"""Segment images, folders or globs."""

import sys

from . import arguments as shared
from . import backends, places

HELP = "segment images, folders or globs"
EXAMPLES = """examples:
  mxnetseg predict --checkpoint best.params photo.jpg folder/ -o out
  mxnetseg predict --checkpoint net.onnx --runtime openvino photo.jpg
  mxnetseg predict 'holiday/*.png' --ms --ctx cpu"""


def arguments(parser):
    parser.add_argument("images", nargs="+", help="files, folders, quoted patterns")
    shared.out(parser)
    shared.devices(parser)
    shared.protocol(parser)
    shared.settings(parser, "eval.KEY=VALUE")
    shared.network(parser)
    backends.arguments(parser)


def run(args):
    from ..inference.predictor import Predictor, find_images, predict_files

    found = backends.find(args)
    about = found.saved.description
    protocol = shared.asked_protocol(args, found.saved, about)
    files = find_images(args.images)
    backend, _ = backends.start(args, found)
    out = places.out(args, "predict")
    failures = predict_files(Predictor(backend, about, protocol), files, out)
    for failure in failures:
        print(f"mxnetseg: {failure}", file=sys.stderr)
    print(f"{len(files) - len(failures)} of {len(files)} images predicted -> {out}")
    return 1 if failures else 0
