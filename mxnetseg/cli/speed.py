"""How fast a network is: alone, with its class map, and from the image file to the class map."""

import json

from ..errors import UsageError
from . import arguments as shared
from . import backends, networks

HELP = "measure how fast networks are"
EXAMPLES = """examples:
  mxnetseg speed weights/bisenet/run/best.params --image photo.jpg
  mxnetseg speed pidnet_s --protocol pidnet --threads 1
  mxnetseg speed best.params --compare net_int8.onnx --runtime mxnet onnxruntime openvino
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
        "--runtime", nargs="+", choices=backends.NAMES, default=[],
        help="each is measured; default: mxnet, for an .onnx file onnxruntime",
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
    from ..inference import onnxfile

    if args.image and args.size:
        raise UsageError("--image has a size of its own: drop --size.")
    given = {"batch": args.batch, "warmup": args.warmup, "repeats": args.repeats}
    given["stages"] = tuple(args.stages) if args.stages else None
    how = speed.convention(args.protocol)
    how = replace(how, **{k: v for k, v in given.items() if v is not None})
    fuses = {"yes": [True], "no": [False], "both": [True, False], None: [how.fuse]}[args.fuse]
    contexts = runtime.contexts(args.ctx)[:1]
    contestants, fixed = [], []
    for what in (args.model, *args.compare):
        if what.lower().endswith(".onnx"):
            file = onnxfile.read(what)
            names = [name for name in args.runtime if name != "mxnet"] or ["onnxruntime"]
            contestants += _in_runtimes(f"{file.meta['network']['name']} of {what}", file, names)
            fixed.append(onnxfile.size_rules(file.meta).fixed_size)
        else:
            network = networks.find(what, args, True, contexts)
            contestants += _contestants(network, contexts, fuses, args.runtime or ["mxnet"])
            fixed.append(network.net.fixed_size)
    fixed = [size for size in fixed if size]
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


def _contestants(network, contexts, fuses, runtimes):
    """The network in MXNet, fused or not, and in other runtimes."""
    from ..description import unnamed_description
    from ..inference.backend import MXNetBackend
    from ..speed import Contestant

    net, about = network.net, network.saved and network.saved.description
    about = about or unnamed_description(net.num_classes, net.in_channels)
    found = []
    if "mxnet" in runtimes:
        ready = [MXNetBackend(net, contexts, about.mean, about.std, fuse) for fuse in fuses]
        found = [Contestant(network.title, "mxnet", b.fused, b, net.in_channels) for b in ready]
    others = [name for name in runtimes if name != "mxnet"]
    if others:
        from ..deploy.forms import build
        from ..inference.onnxfile import of_model

        found += _in_runtimes(network.title, of_model(build(net, about)), others)
    return found


def _in_runtimes(title, file, names):
    from ..inference import runtimes
    from ..speed import Contestant

    channels = file.meta["input"]["channels"]
    return [
        Contestant(title, name, None, runtimes.start(name, file, ["cpu"]), channels)
        for name in names
    ]
