"""Segment images, folders, globs, videos or what a camera sees."""

import argparse
import sys
from functools import partial
from pathlib import Path

from ..columns import counted
from ..errors import MXNetSegError
from . import arguments as shared
from . import backends, places

HELP = "segment images, folders, globs, videos, cameras"
EXAMPLES = """examples:
  mxnetseg predict --checkpoint best.params photo.jpg folder/ -o out
  mxnetseg predict --checkpoint net.onnx --runtime openvino photo.jpg
  mxnetseg predict 'holiday/*.png' --ms --ctx cpu
  mxnetseg predict drive.mp4 --side-by-side
  mxnetseg predict 'frames/%04d.png' --rate 30
  mxnetseg predict 0"""


def arguments(parser):
    parser.add_argument(
        "images", nargs="+",
        help="files, folders, quoted patterns; videos, numbered frames (f_%%04d.png), cameras (0)",
    )  # fmt: skip
    shared.out(parser)
    look = parser.add_argument_group("pictures")
    look.add_argument("--alpha", type=_share, default=0.5, help="opacity of the colours, 0 ... 1")
    look.add_argument("--no-legend", action="store_true", help="no names of classes below")
    look.add_argument("--side-by-side", action="store_true", help="the image beside its overlay")
    look.add_argument(
        "--scores", action="store_true", dest="confidence",
        help="grey pictures of the largest soft-max, too",
    )  # fmt: skip
    look.add_argument("--rate", type=float, help="frames per second of numbered frames: 25")
    shared.devices(parser)
    shared.protocol(parser)
    shared.settings(parser, "eval.KEY=VALUE")
    shared.network(parser)
    backends.arguments(parser)


def run(args):
    from ..inference import video
    from ..inference.pictures import Look
    from ..inference.predictor import Predictor, find_images, predict_files

    found = backends.find(args)
    about = found.saved.description
    protocol = shared.asked_protocol(args, found.saved, about)
    videos = [a for a in args.images if video.is_video(a)]
    images = [a for a in args.images if a not in videos]
    files = find_images(images) if images else []
    backend, _ = backends.start(args, found, lambda: (_first(files, videos, about), protocol))
    out = places.out(args, "predict")
    look = Look(args.alpha, not args.no_legend, args.side_by_side)
    predictor, failures = Predictor(backend, about, protocol), []
    if files:
        failures = predict_files(predictor, files, out, look, args.confidence)
        print(f"{len(files) - len(failures)} of {len(files)} images predicted -> {out}")
    for argument in videos:
        folder = out / _name(argument) if len(videos) > 1 else out
        try:
            done = video.predict_video(
                predictor, argument, folder, look, args.confidence, args.rate
            )
        except MXNetSegError as error:
            failures.append(str(error))
            continue
        speed = done.frames / done.seconds
        print(f"{counted(done.frames, 'frame')}, {speed:.2f} frames/s -> {folder / 'overlay.mp4'}")
        if done.stopped:
            raise KeyboardInterrupt
    for failure in failures:
        print(f"mxnetseg: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _first(files, videos, about):
    """The first image that can be read, or the first frame."""
    from ..data.images import read_image
    from ..inference import video

    reads = [partial(read_image, s.path, about.channels, about.max_value) for s in files]
    for read in [*reads, *(partial(video.first_frame, v) for v in videos)]:
        try:
            return read()
        except MXNetSegError as error:
            problem = error
    raise problem


def _name(argument):
    """A folder's name for a video: of its file, or camera-0."""
    text = str(argument)
    return f"camera-{text}" if text.isdigit() else Path(text.replace("%", "")).stem


def _share(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
