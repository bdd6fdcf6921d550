"""How fast a network is: alone, with its class map, and from the image file to the class map."""

import contextlib
import itertools
import json
import os
import sys
import tempfile
from typing import Any, NamedTuple

from ..errors import UsageError
from . import arguments as shared
from . import backends, networks, precision

HELP = "measure how fast networks are"
EXAMPLES = """examples:
  mxnetseg speed weights/bisenet/run/best.params --image photo.jpg
  mxnetseg speed pidnet_s --protocol pidnet --threads 1
  mxnetseg speed best.params --compare net_int8.onnx --runtime mxnet onnxruntime
  mxnetseg speed best.params --tune --size 512 1024 --precision bf16
  mxnetseg speed pidnet_s --compare sanet_s bisenet --size 512 1024 --json"""


def arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="a network, a checkpoint or an .onnx file")
    parser.add_argument(
        "--compare", nargs="+", default=[], metavar="MODEL", help="others, in the same run"
    )
    networks.arguments(parser)
    networks.size_argument(parser)
    parser.add_argument("--image", metavar="FILE", help="default: a drawn scene of --size")
    parser.add_argument(
        "--protocol", choices=("mxnetseg", "pidnet", "mlmsnet"), help="the originals' own"
    )
    parser.add_argument("--stages", nargs="+", metavar="STAGE", help="network, classes, file")
    parser.add_argument("--batch", type=int, help="images in a pass; default: 1")
    parser.add_argument("--warmup", type=int, help="passes that do not count; default: 5")
    parser.add_argument("--repeats", type=int, help="passes that count; default: 20")
    parser.add_argument(
        "--fuse", choices=("yes", "no", "both"), help="join layers, where that works; default: yes"
    )
    parser.add_argument(
        "--tune",
        action="store_true",
        help="find the fastest runtime, number of threads ... that is equal, for --runtime auto",
    )
    parser.add_argument(
        "--runtime", nargs="+", choices=(*backends.NAMES, backends.AUTO), default=[],
        help="each is measured; default: mxnet, for an .onnx file what it was made for or "
        "onnxruntime",
    )  # fmt: skip
    parser.add_argument(
        "--precision", nargs="+", choices=precision.NAMES, default=[],
        help="each is measured; bf16: OpenVINO's, with --tune beside float32; default: the file's",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="default: all cores")
    shared.devices(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args):
    from .. import runtime

    if args.threads:
        runtime.use_threads(args.threads)
    from dataclasses import replace

    from .. import progress, speed

    if args.tune:
        _check_tune(args)
    if args.image and args.size:
        raise UsageError("--image has a size of its own: drop --size.")
    if args.image and not os.path.isfile(args.image):
        raise UsageError(f"There is no image {args.image}.")
    given = {"batch": args.batch, "warmup": args.warmup, "repeats": args.repeats}
    given["stages"] = tuple(args.stages) if args.stages else None
    how = speed.TUNING if args.tune else speed.convention(args.protocol)
    how = replace(how, **{k: v for k, v in given.items() if v is not None})
    fuses = {"yes": [True], "no": [False], "both": [True, False], None: [how.fuse]}[args.fuse]
    contexts = runtime.contexts(args.ctx)[:1]
    found = [_found(what, args, contexts) for what in (args.model, *args.compare)]
    if args.tune:
        return _tune(args, how, found[0])
    size = _size(args, how, found)
    contestants = []
    for one in found:
        contestants += _contestants(one, contexts, fuses, args, size)
    with progress.bar("measuring", unit="pass") as bar:
        results = speed.measure(contestants, how, size, args.image, bar)
    result = {
        "machine": speed.machine(),
        "protocol": args.protocol,
        "about": f"{how.warmup} pass{'es' * (how.warmup != 1)} to warm up; {how.about}",
        "results": results,
    }
    print(json.dumps(result, indent=1) if args.json else speed.as_text(result))


class _Found(NamedTuple):
    """A network that is measured: MXNet's, or that of an .onnx file."""

    title: str
    net: Any
    saved: Any
    file: Any

    @property
    def about(self):
        """The Description, with or without names."""
        from ..description import unnamed_description

        return (
            self.saved.description
            if self.saved
            else unnamed_description(self.net.num_classes, self.net.in_channels)
        )

    @property
    def fixed_size(self):
        from ..inference import onnxfile

        return onnxfile.size_rules(self.file.meta).fixed_size if self.file else self.net.fixed_size


def _found(what, args, contexts):
    if what.lower().endswith(".onnx"):
        from ..inference import onnxfile

        file = onnxfile.read(what)
        title = f"{file.meta['network']['name']} of {what}"
        return _Found(title, None, file.checkpoint, file)
    network = networks.find(what, args, True, contexts, True)
    return _Found(network.title, network.net, network.saved, None)


def _size(args, how, found):
    fixed = [one.fixed_size for one in found if one.fixed_size]
    return networks.size(args, default=how.size or (fixed or [networks.DEFAULT_SIZE])[0])


def _contestants(one, contexts, fuses, args, size):
    """The network in MXNet, fused or not, and in other runtimes."""
    from ..inference import runtimes
    from ..inference.backend import MXNetBackend
    from ..inference.checkpoints import of_checkpoint
    from ..speed import Contestant

    names = [n for n in args.runtime if n != "mxnet"] if one.file else args.runtime
    if args.runtime and not names:
        raise UsageError(f"MXNet does not run {one.file.path}: add --runtime onnxruntime.")
    names = names or [runtimes.made_for(one.file) if one.file else "mxnet"]
    about, file, found = one.about, one.file, []
    for name, asked in itertools.product(names, args.precision or [None]):
        lower = precision.asked(asked, name, one)
        if name == "mxnet" and one.saved and one.saved.in_integers:
            backend = of_checkpoint(one.saved, contexts)
        elif name == "mxnet":
            ready = [MXNetBackend(one.net, contexts, about.mean, about.std, f) for f in fuses]
            found += [Contestant(one.title, name, b.fused, b, about.channels) for b in ready]
            continue
        elif name == backends.AUTO:
            backend = _chosen(one, args, size, lower)
        else:
            file = file or _exported(one)
            backend = backends.other(name, file, ["cpu"], lower)
        fused = backend.runtime.get("fused")
        found.append(Contestant(one.title, backend.runtime["name"], fused, backend, about.channels))
    return found


def _exported(one):
    from ..deploy.forms import build
    from ..inference.onnxfile import of_model

    return of_model(build(one.net, one.about))


# --- the fastest way -----------------------------------------------------------------------------


@contextlib.contextmanager
def _subject(one):
    """What is tuned; a network that is only named lies in a temporary folder as long."""
    from .. import checkpoint
    from ..tuning.subject import Subject, identity_of

    if one.saved:
        yield Subject(one.saved, one.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.params")
        checkpoint.save(path, one.net, checkpoint.describe(one.net, one.about))
        onnx = os.path.join(folder, "network.onnx")
        yield Subject(checkpoint.read(path), None, onnx, identity_of(one.net))


def _picture(one, args, size):
    from .. import speed
    from ..data.images import read_image

    about = one.about
    if args.image:
        return read_image(args.image, about.channels, about.max_value)
    return speed.scene(size, about.channels)


def _chosen(one, args, size, lower):
    """The backend that --runtime auto takes."""
    from ..inference.protocol import Protocol
    from ..tuning import auto

    with _subject(one) as subject:
        backend, why = auto.start(
            subject, args.ctx, lambda: (_picture(one, args, size), Protocol()), lower
        )
    print(why, file=sys.stderr if args.json else sys.stdout)
    return backend


def _tune(args, how, one):
    """Find the fastest way and print what was measured."""
    import numpy as np

    from .. import progress, speed
    from ..tuning import thorough
    from ..tuning.race import Example

    speed.check(how)
    asked = [precision.asked(name, backends.AUTO, one) for name in args.precision]
    lower = next(filter(None, asked), None)
    pixels = _picture(one, args, _size(args, how, [one]))
    example = Example(np.stack([pixels] * how.batch))
    with _subject(one) as subject, progress.bar("measuring", unit="pass") as bar:
        result = thorough.tune(subject, example, args.ctx, how, bar, lower)
    machine = speed.machine()
    if args.json:
        print(json.dumps({"machine": machine, "network": one.title, **result}, indent=1))
    else:
        print(thorough.as_text(machine, one.title, result))


def _check_tune(args):
    """UsageError for what --tune tries anyway, or cannot do."""
    for flag in ("compare", "runtime", "fuse", "protocol", "stages"):
        if getattr(args, flag):
            raise UsageError(f"--tune tries all ways to run one network: drop --{flag}.")
    if args.ctx and len(args.ctx) > 1:
        raise UsageError("--tune measures on one device: give one to --ctx.")
