"""What runs a network, for verbs that run one: --checkpoint, --runtime and --ctx."""

from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..errors import UsageError
from . import places, precision

NAMES = ("mxnet", "onnxruntime", "openvino")
AUTO = "auto"

OTHERS = (
    "{} holds 8-bit integers for {}, and OpenVINO computes something else from them for some "
    "networks. Give --runtime {}, or auto, which proves what it takes; or write a file with "
    "`mxnetseg quantize --runtime openvino`."
)


class Found(NamedTuple):
    """A network that is to be run.

    Attributes:
        saved: Checkpoint; of an ONNX file what it says about itself, without parameters.
        file: the NetworkFile, if it is one.
    """

    saved: Any
    file: Optional[Any]


def arguments(parser):
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help=".params, or .onnx of `mxnetseg export`; default: the newest best.params",
    )
    parser.add_argument(
        "--runtime",
        choices=(*NAMES, AUTO),
        help="what runs it; default: mxnet, for an .onnx file what it was made for or onnxruntime; "
        "auto: the fastest that is equal, see `speed --tune`",
    )
    parser.add_argument(
        "--precision",
        choices=precision.NAMES,
        help="float32; bf16: OpenVINO's, on processors that have it, with --runtime auto beside "
        "float32; int8: a file of `quantize`; default: the file's",
    )


def find(args):
    """What is to be run."""
    from .. import checkpoint
    from ..inference import onnxfile

    path = places.named(args)
    if Path(path).suffix.lower() != ".onnx":
        found = Found(checkpoint.read(path, integers=True), None)
    elif args.runtime == "mxnet":
        raise UsageError(f"MXNet does not run {path}: give --runtime onnxruntime or openvino.")
    else:
        file = onnxfile.read(path)
        found = Found(file.checkpoint, file)
    places.check(args, found.saved)
    return found


def start(args, found, first):
    """(backend, what to call the place where it works).

    Args:
        first: function without arguments -> (the first image, the Protocol); for --runtime auto.
    """
    from .. import runtime
    from ..inference import runtimes
    from ..inference.checkpoints import of_checkpoint

    name = args.runtime or (runtimes.made_for(found.file) if found.file else "mxnet")
    lower = precision.asked(args.precision, name, found)
    if name == "mxnet":
        integers = found.saved.in_integers and args.ctx is None
        contexts = runtime.contexts(["cpu"] if integers else args.ctx)
        return of_checkpoint(found.saved, contexts), places.names(contexts)
    if name == AUTO:
        from ..tuning import auto
        from ..tuning.subject import Subject

        backend, why = auto.start(Subject(found.saved, found.file), args.ctx, first, lower)
        print(why)
    else:
        file = found.file or _converted(found.saved)
        backend = other(name, file, args.ctx, lower)
    return backend, "{name} {version}, {precision}".format(**backend.runtime)


def other(name, file, devices, lower):
    """A backend of a runtime other than MXNet; ``lower``: see ``precision.asked``.

    Raises:
        UsageError: OpenVINO is to run integers that were made for another runtime.
    """
    from ..inference import runtimes

    made_for = runtimes.made_for(file)
    if name == "openvino" != made_for and file.checkpoint.in_integers:
        raise UsageError(OTHERS.format(file.path, made_for, made_for))
    return runtimes.start(name, file, devices, precision=lower)


def _converted(saved):
    from .. import checkpoint
    from ..deploy.forms import build
    from ..inference.onnxfile import of_model

    model = build(checkpoint.network(saved), saved.description)
    return of_model(model, saved.path)
