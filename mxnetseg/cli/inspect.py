"""Look inside a trained network: its outputs, maps, heat maps, receptive field and errors."""

import sys
from pathlib import PurePosixPath

from ..errors import MXNetSegError, UsageError
from . import arguments as shared
from . import places

HELP = "pictures of what a network sees, and where it looks"
EXAMPLES = """examples:
  mxnetseg inspect outputs photo.jpg
  mxnetseg inspect heatmap folder/ --class car --layer backbone.layer4"""


def arguments(parser):
    whats = parser.add_subparsers(
        dest="what", metavar="WHAT", required=True, help="what to look at"
    )
    for name, (text, options) in WHATS.items():
        own = whats.add_parser(name, help=text, description=text[0].upper() + text[1:])
        options(own)
        own.set_defaults(show=globals()[f"_show_{name.replace('-', '_')}"])


def run(args):
    return args.show(args)


# --- what there is to see -----------------------------------------------------------------------


def _of_images(parser):
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="images, folders or globs")
    _of_a_network(parser)


def _of_a_network(parser):
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="default: the newest best.params in weights"
    )
    shared.network(parser)
    shared.out(parser, "where the pictures go; default: a new folder in runs/inspect")
    shared.devices(parser)


def _segmentation(parser):
    _of_images(parser)
    parser.add_argument("--output", default="main", help="main or aux; default: main")


def _boundary(parser):
    _of_images(parser)
    parser.add_argument("--logits", action="store_true", help="not their sigmoid")


def _features(parser):
    _of_images(parser)
    _layer(parser, required=True)
    parser.add_argument("--channels", nargs="+", type=int, help="default: the 14 that vary most")


def _layer(parser, **options):
    parser.add_argument(
        "--layer", metavar="NAME", **options,
        help="an output (main, aux) or a layer as `mxnetseg complexity` names them; NAME:K for the "
        "K-th map of several",
    )  # fmt: skip


def _heatmap(parser):
    _of_images(parser)
    parser.add_argument(
        "--class", dest="classes", nargs="+", required=True, metavar="NAME",
        help="names or numbers of classes",
    )  # fmt: skip
    _layer(parser, default="main")


WHATS = {
    "segmentation": ("classes in colours, of the main or an auxiliary output", _segmentation),
    "boundary": ("the boundary output of SANet and PIDNet", _boundary),
    "outputs": ("all outputs of a network, and how sure it is", _of_images),
    "features": ("the maps of a layer", _features),
    "heatmap": ("where the evidence for a class lies: Grad-CAM for segmentation", _heatmap),
}


def _show_segmentation(args):
    return _pictures(args, "segmentation", lambda view: view("segmentation", args.output))


def _show_boundary(args):
    return _pictures(args, "boundary", lambda view: view("boundary", args.logits))


def _show_outputs(args):
    return _pictures(args, "outputs", lambda view: view("outputs"))


def _show_features(args):
    show = f"features-{_plain(args.layer)}"
    return _pictures(args, show, lambda view: view("features", args.layer, args.channels))


def _show_heatmap(args):
    saved = places.checkpoint(args)
    numbers = [_class(name, saved.description) for name in args.classes]
    failed = 0
    for number in numbers:
        name = saved.description.classes[number]
        show = f"heatmap-{_plain(args.layer)}-{_plain(name)}"
        failed |= _pictures(
            args, show, lambda view, n=number: view("heatmap", args.layer, n), saved
        )
    return failed


# --- how ----------------------------------------------------------------------------------------


def _pictures(args, show, view, saved=None):
    """Write a picture for each image.

    Args:
        show: what is shown, for the names of the files.
        view: is called with a function (name of a view, its options) -> picture, and returns one.
    """
    from .. import files, progress
    from ..data.images import read_image
    from ..inference.predictor import find_images
    from ..inference.writers import output_name
    from ..inspection import views

    saved = saved or places.checkpoint(args)
    probe, about = _probe(args, saved)
    sources = find_images(args.images)
    out, taken, failed = places.out(args, "inspect"), set(), 0
    args.out = str(out)  # of a second class too
    files.check_folder(out)
    for source in progress.over(show)(sources):
        try:
            pixels = read_image(source.path, about.channels, about.max_value)
            name = PurePosixPath(source.name)

            def one(what, *options, pixels=pixels, name=name):
                return getattr(views, what)(probe, about, pixels, name.name, *options)

            picture = view(one)
        except UsageError:
            raise
        except MXNetSegError as error:
            print(f"mxnetseg: {source.path}: {error}", file=sys.stderr)
            failed = 1
            continue
        path = out / output_name(name.with_name(f"{name.stem}-{show}{name.suffix}"), taken)
        files.write(path, files.png(picture))
        print(path)
    return failed


def _probe(args, saved):
    from .. import checkpoint, runtime
    from ..inspection.probe import Probe

    context = runtime.contexts(args.ctx)[0]
    about = saved.description
    return Probe(checkpoint.network(saved, [context]), about.mean, about.std, context), about


def _class(name, about):
    """The number of a class that is called by name or number."""
    from ..registry import unknown

    if name.isdigit() and int(name) < about.num_classes:
        return int(name)
    names = [c.lower() for c in about.classes]
    if name.lower() not in names:
        raise unknown("class", name, about.classes)
    return names.index(name.lower())


def _plain(name):
    """A name that can be part of a file's."""
    return "".join(c if c.isalnum() or c in "._" else "-" for c in name)
