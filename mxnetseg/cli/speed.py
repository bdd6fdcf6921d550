"""How fast a network is: alone, with its class map, and from the image file to the class map."""

import json

from ..errors import UsageError
from . import arguments as shared
from . import networks

HELP = "measure how fast networks are"
EXAMPLES = """examples:
  mxnetseg speed weights/bisenet/run/best.params --image photo.jpg
  mxnetseg speed pidnet_s --protocol pidnet --threads 1
  mxnetseg speed pidnet_s --compare sanet_s bisenet --size 512 1024 --json"""


def arguments(parser):
    parser.add_argument("model", metavar="MODEL", help="a network or a checkpoint")
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
    parser.add_argument("--threads", type=int, help="default: all cores")
    shared.devices(parser)
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args):
    from .. import runtime

    if args.threads:
        runtime.use_threads(args.threads)
    from dataclasses import replace

    from .. import progress, speed

    if args.image and args.size:
        raise UsageError("--image has a size of its own: drop --size.")
    given = {"batch": args.batch, "warmup": args.warmup, "repeats": args.repeats}
    given["stages"] = tuple(args.stages) if args.stages else None
    how = speed.convention(args.protocol)
    how = replace(how, **{k: v for k, v in given.items() if v is not None})
    fuses = {"yes": [True], "no": [False], "both": [True, False], None: [how.fuse]}[args.fuse]
    contexts = runtime.contexts(args.ctx)[:1]
    found = [networks.find(what, args, True, contexts) for what in (args.model, *args.compare)]
    contestants = [c for network in found for c in _contestants(network, contexts, fuses)]
    fixed = [n.net.fixed_size for n in found if n.net.fixed_size]
    size = networks.size(args, default=how.size or (fixed or [networks.DEFAULT_SIZE])[0])
    with progress.bar("measuring", unit="pass") as bar:
        results = speed.measure(contestants, how, size, args.image, bar)
    result = {
        "machine": speed.machine(),
        "protocol": args.protocol,
        "about": f"{how.warmup} passes to warm up; {how.about}",
        "results": results,
    }
    print(json.dumps(result, indent=1) if args.json else speed.as_text(result))


def _contestants(network, contexts, fuses):
    """The network in MXNet, fused or not."""
    from ..inference.backend import MXNetBackend
    from ..speed import Contestant

    about = network.saved and network.saved.description
    channels = network.net.in_channels
    mean, std = (about.mean, about.std) if about else ((0.5,) * channels, (0.25,) * channels)
    backends = [MXNetBackend(network.net, contexts, mean, std, fuse) for fuse in fuses]
    return [Contestant(network.title, "mxnet", b.fused, b, channels) for b in backends]
