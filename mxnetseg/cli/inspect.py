"""Look inside a trained network: its outputs, maps, heat maps, receptive field and errors."""

import dataclasses
import json
import sys
from pathlib import PurePosixPath

from ..columns import counted
from ..errors import MXNetSegError, UsageError
from ..registry import unknown
from . import arguments as shared
from . import places

HELP = "pictures of what a network sees, and where it looks"
EXAMPLES = """examples:
  mxnetseg inspect outputs photo.jpg
  mxnetseg inspect heatmap folder/ --class car --layer backbone.layer4
  mxnetseg inspect receptive-field folder/ --layer backbone.layer4"""


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


def _checkpoint_argument(parser):
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="default: the newest best.params in weights"
    )


def _of_a_network(parser):
    _checkpoint_argument(parser)
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


def _receptive_field(parser):
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE", help="for the effective field: a few images of a kind"
    )
    parser.add_argument("--network", metavar="NAME", help="a network without weights: table alone")
    _of_a_network(parser)
    parser.add_argument(
        "--size", nargs="+", type=int, metavar="PIXELS",
        help="for the table: a side, or height and width; default: 1024 2048",
    )  # fmt: skip
    _layer(parser)
    parser.add_argument("--depth", type=int, metavar="N", help="one row for what lies deeper")
    parser.add_argument("--json", action="store_true", help="for programs")


def _paths(parser):
    parser.add_argument("--network", metavar="NAME", help="a network without weights")
    _checkpoint_argument(parser)
    parser.add_argument(
        "--layers", nargs="+", metavar="WINDOW",
        help="instead of a network's: kernel, stride and dilation as 3, 3s2, 3d4, 1x5s2",
    )  # fmt: skip
    shared.network(parser)
    _layer(parser)
    parser.add_argument(
        "--scale", choices=("rank", "log"), default="rank",
        help="colours by rank among the numbers that occur, or by their logarithm; default: rank",
    )  # fmt: skip
    parser.add_argument(
        "--cell", type=int, default=10, metavar="PIXELS", help="side of a square; default: 10"
    )
    shared.out(parser, "where the pictures go; default: a new folder in runs/inspect")


def _of_data(parser):
    _of_a_network(parser)
    shared.data(parser, split="the validation split")
    shared.settings(parser, "data.options.KEY=VALUE")
    parser.add_argument("--count", type=int, default=12, help="pictures in all; default: 12")


def _errors(parser):
    _of_data(parser)
    parser.add_argument(
        "--class-map",
        action="store_true",
        help="the data set has the same classes in another order: map them by name",
    )
    parser.set_defaults(mode="val", index=None)


def _edges(parser):
    parser.add_argument(
        "images", nargs="*", metavar="IMAGE",
        help="predicted first; default: the masks of a data set",
    )  # fmt: skip
    _of_data(parser)


WHATS = {
    "segmentation": ("classes in colours, of the main or an auxiliary output", _segmentation),
    "boundary": ("the boundary output of SANet and PIDNet", _boundary),
    "outputs": ("all outputs of a network, and how sure it is", _of_images),
    "errors": ("wrong pixels of a data set, and their share per class", _errors),
    "edges": ("boundaries by class, of masks or predictions", _edges),
    "features": ("the maps of a layer", _features),
    "receptive-field": (
        "what a layer's values can see (a table), and what really counts (a picture)",
        _receptive_field,
    ),
    "paths": ("how many paths lead from each pixel to a value of a layer", _paths),
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
    saved = _checkpoint(args)
    numbers = [_class(name, saved.description) for name in args.classes]
    failed = 0
    for number in numbers:
        name = saved.description.classes[number]
        show = f"heatmap-{_plain(args.layer)}-{_plain(name)}"
        failed |= _pictures(
            args, show, lambda view, n=number: view("heatmap", args.layer, n), saved
        )
    return failed


def _show_receptive_field(args):
    from ..inspection import fields
    from . import networks

    if args.network and (args.images or args.checkpoint):
        raise UsageError("--network has no weights to derive: it stands alone, without images.")
    saved = None if args.network else _checkpoint(args)
    net = _network(args, saved)
    rows = fields.table(net, *networks.size(args, net))
    shown = fields.grouped(rows, args.depth)
    if args.layer:
        shown = [fields.find(rows, args.layer)]
        if shown == [None]:
            raise unknown("layer", args.layer, [r.name for r in rows if r.name])
        shown = [dataclasses.replace(shown[0], name=args.layer)]
    if args.json:
        print(json.dumps([dataclasses.asdict(row) for row in shown], indent=1))
    else:
        print(fields.as_text(shown))
    if args.images:
        _effective(args, saved)


def _effective(args, saved):
    from .. import files, progress
    from ..data.images import read_image
    from ..inference.predictor import find_images
    from ..inspection import effective, fields

    probe, about = _probe(args, saved)
    layer = args.layer or "main"
    found, first = effective.Effective(probe, layer), None
    for source in progress.over("deriving")(find_images(args.images)):
        pixels = read_image(source.path, about.channels, about.max_value)
        first = pixels if first is None else first
        found.update(pixels)
    rows = fields.table(probe.net, *probe.net.valid_size(*first.shape[:2]))
    path = places.out(args, "inspect") / f"receptive-field-{_plain(layer)}.png"
    files.write(path, files.png(effective.picture(found, first, fields.find(rows, layer))))
    print(path)


def _show_paths(args):
    from .. import files
    from ..inspection import paths
    from . import networks

    if args.cell < 1:
        raise UsageError(f"--cell is at least 1 pixel, not {args.cell}.")
    if args.layers and (args.network or args.checkpoint or args.layer):
        raise UsageError("--layers stands alone, without a network and its --layer.")
    if args.layers:
        windows = paths.parse(args.layers)
    else:
        net, layer = _network(args), args.layer or "main"
        windows = paths.of_network(net, *net.valid_size(*networks.DEFAULT_SIZE), layer)
    if not windows:
        raise UsageError(f"'{args.layer}' sees single pixels: there is no path to count.")
    found, out = paths.count(windows), places.out(args, "inspect")
    print(paths.as_text(found))
    for number, one in enumerate(found, 1):
        path = out / f"{number:03d}-{_plain(one.window.name)}.png"
        files.write(path, files.png(paths.picture(one, args.scale, args.cell)))
    files.write(out / "overview.png", files.png(paths.overview(found, args.scale)))
    print(f"{len(found)} pictures and overview.png -> {out}")
    return 0


def _network(args, saved=None):
    """The network of --network, without weights, or a checkpoint's."""
    from .. import checkpoint, models

    if args.network and args.checkpoint:
        raise UsageError("--network has no weights; give it or --checkpoint.")
    if args.network:
        return models.create(args.network, 19, backbone=args.backbone, initialize=False)
    return checkpoint.network(saved or _checkpoint(args))


def _show_edges(args):
    from .. import files
    from ..inspection import views

    if args.images:
        return _pictures(args, "edges", _predicted_edges)
    if not args.data:
        raise UsageError("Give images to predict, or --data and --data-root for its masks.")
    from .. import data

    section = shared.data_section(args)
    dataset = data.create(
        section.name, args.split or section.val_split, section.root, **section.options
    )
    out = places.out(args, "inspect")
    for sample in _spread(dataset, args.count):
        name = PurePosixPath(sample.name)
        path = out / name.with_name(f"{name.stem}-edges.png")
        files.write(path, files.png(views.edges(sample.mask, dataset.info, name.name)))
        print(path)
    return 0


def _predicted_edges(view):
    return view("predicted_edges")


def _show_errors(args):
    import cv2

    from .. import files, progress, runtime
    from ..inference.checkpoints import of_checkpoint
    from ..inference.evaluator import lookup
    from ..inference.merge import segment
    from ..inference.protocol import Protocol
    from ..inspection import mistakes
    from ..metrics import ConfusionMatrix
    from .eval import data_of

    saved = _checkpoint(args)
    about = saved.description
    dataset, split, order, _ = data_of(args, saved)
    contexts = runtime.contexts(args.ctx)[:1]
    backend = of_checkpoint(saved, contexts)
    matrix, out = ConfusionMatrix(about.num_classes), places.out(args, "inspect")
    info = dataset.info
    shown = set(_places(len(dataset), args.count))
    for index in progress.over("segmenting")(range(len(dataset))):
        sample = dataset[index]
        classes = segment(backend, sample.image, Protocol(), sample.mask.shape)
        if order:
            classes = cv2.LUT(classes, lookup(order))
        matrix.update(classes, sample.mask)
        if index in shown:
            name = PurePosixPath(sample.name)
            picture = mistakes.picture(sample.image, sample.mask, classes, info, name.name)
            files.write(out / name.with_name(f"{name.stem}-errors.png"), files.png(picture))
    found = mistakes.shares(matrix.counts, info.classes)
    files.write(out / "errors.json", json.dumps(found, indent=1))
    print(f"{counted(len(dataset), 'image')} ({split}) -> {out}")
    print(mistakes.as_text(found))
    return 0


def _places(length, count):
    """At most ``count`` numbers below ``length``, evenly spread."""
    if count < 1:
        raise UsageError(f"--count is at least 1, not {count}.")
    count = min(count, length)
    return [round(k * (length - 1) / max(count - 1, 1)) for k in range(count)]


def _spread(dataset, count):
    return (dataset[index] for index in _places(len(dataset), count))


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

    saved = saved or _checkpoint(args)
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
    if name.isdigit() and int(name) < about.num_classes:
        return int(name)
    names = [c.lower() for c in about.classes]
    if name.lower() not in names:
        raise unknown("class", name, about.classes)
    return names.index(name.lower())


def _plain(name):
    """A name that can be part of a file's."""
    return "".join(c if c.isalnum() or c in "._" else "-" for c in name)


def _checkpoint(args):
    from .. import checkpoint

    saved = checkpoint.read(places.named(args))
    places.check(args, saved)
    return saved
