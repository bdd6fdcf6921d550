"""Write a checkpoint in 8-bit integers, calibrated on training images: as ONNX, or for MXNet.

Its mIoU on the validation split is held against float32. Where too much is lost, the parts of the
network that suffer most are left in float; where it still is, no file is written.
"""

import json
from pathlib import Path
from typing import Any, Callable, NamedTuple

from ..columns import counted
from ..errors import MXNetSegError, UsageError
from . import arguments as shared

HELP = "write a checkpoint in 8-bit integers"
EXAMPLES = """examples:
  mxnetseg quantize best.params -o net_int8.params
  mxnetseg quantize best.params -o net_int8.onnx
  mxnetseg quantize best.params -o net_int8.onnx --runtime openvino
  mxnetseg quantize best.params --data cityscapes --data-root /data/Cityscapes -o net_int8.onnx"""

LIMIT = 0.005  # of mIoU
RANKING_IMAGES = 4
TRIAL_IMAGES = 128  # of the validation split, at least, that trials are scored on


class Route(NamedTuple):
    """A way to integers.

    Attributes:
        runtime: what runs the result. source: the network in float32, as the route sees it.
        start: such a network, or one in integers, -> backend.
        quantizer: see :mod:`mxnetseg.deploy.sensitivity`.
        write: function of (path, Quantized, facts, image).
    """

    runtime: str
    source: Any
    start: Callable
    quantizer: Any
    write: Callable


def arguments(parser):
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .params file")
    parser.add_argument(
        "--out", "-o", metavar="FILE", required=True,
        help=".params: for MXNet, on CPUs; .onnx: for ONNX Runtime, OpenVINO and others",
    )  # fmt: skip
    parser.add_argument(
        "--runtime", choices=("onnxruntime", "openvino"),
        help="which one the .onnx file is for; default: onnxruntime; openvino needs nncf",
    )  # fmt: skip
    shared.data(parser, split="the experiment's validation split")
    shared.settings(parser, "data.options.KEY=VALUE")
    parser.add_argument("--images", type=int, default=64, help="to calibrate on; default: 64")
    parser.add_argument(
        "--form", choices=("logits", "scores", "classes"), help="of .onnx, as of export; default: "
        "classes",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write it whatever it loses")


def run(args):
    from .. import checkpoint, files

    suffix = Path(args.out).suffix.lower()
    if suffix not in (".onnx", ".params"):
        raise UsageError(f"The file must end in .params or .onnx, not '{args.out}'.")
    for option in ("form", "runtime"):
        if suffix == ".params" and getattr(args, option):
            raise UsageError(f"--{option} is for .onnx files: drop it.")
    if args.images < 1:
        raise UsageError("--images counts from 1.")
    saved = checkpoint.read(args.checkpoint)
    if Path(args.out).resolve() == Path(saved.path).resolve():
        raise UsageError(f"-o {args.out} is the checkpoint itself, whose float32 would be lost.")
    files.check_folder(Path(args.out).parent)
    train, val = _data(args, saved)
    route = (_for_mxnet if suffix == ".params" else _for_onnx)(args, saved, train)
    quantized, before, after = _search(route, saved, train, val)
    count = min(args.images, len(train))
    print(f"calibrated on {counted(count, 'image')} of {train.info.name}, scored on {len(val)}")
    print(f"mIoU      float32 {before:.4f}, int8 {after:.4f}")
    print(f"in float  {', '.join(quantized.floating) or 'nothing'}")
    print(_speeds(saved, route, quantized, val))
    if after < before - LIMIT and not args.force:
        raise MXNetSegError(
            f"In integers the network loses {100 * (before - after):.2f} mIoU points, more than "
            f"{100 * LIMIT:g}; nothing is written. Give more --images, or --force."
        )
    facts = {
        "runtime": route.runtime,
        "images": count,
        "float": quantized.floating,
        "miou": {"float32": before, "int8": after},
    }
    with files.replacing(args.out) as aside:
        route.write(aside, quantized, facts, val[0].image)
    print(f"-> {args.out}")
    return 0


def _search(route, saved, train, val):
    """(Quantized, mIoU in float32, mIoU in integers).

    Of a large validation split the trials see a share. They are made again with all of it if that
    loses too much.
    """
    from ..data.part import Part
    from ..deploy import sensitivity

    def score(file, images):
        return _score(route.start(file), saved, images)

    ranked_on = list(_images(route.start(route.source), saved, train, RANKING_IMAGES))
    share = Part(val, 0, max(1, len(val) // TRIAL_IMAGES))
    before = score(route.source, val)
    for images in [share, val] if len(share) < len(val) else [val]:
        wanted = before if images is val else score(route.source, images)
        quantized, after = sensitivity.search(
            route.quantizer,
            lambda file, images=images: score(file, images),
            lambda file: route.start(file).run,
            ranked_on,
            wanted - LIMIT,
        )
        if images is share:
            after = score(quantized.file, val)
        if after >= before - LIMIT:
            break
    return quantized, before, after


def _for_onnx(args, saved, train):
    from .. import checkpoint
    from ..deploy import quantize
    from ..deploy.export import provenance
    from ..deploy.forms import build
    from ..inference import onnxfile, runtimes

    runtime = args.runtime or "onnxruntime"

    def start(file):
        return runtimes.start(runtime, file, ["cpu"])

    def write(path, quantized, facts, image):
        entries = {"precision": "int8", "quantization": facts}
        entries = {key: json.dumps(value) for key, value in entries.items()}
        whole = quantize.surrounded(model, quantized, entries)
        onnxfile.seal(whole)
        path.write_bytes(whole.SerializeToString())
        onnxfile.read(path)

    net, more = checkpoint.network(saved), provenance(saved)
    form, channels_last = args.form or "classes", runtime != "openvino"
    model = build(net, saved.description, form, channels_last=channels_last, more=more)
    source = onnxfile.of_model(model, saved.path)
    images = _images(start(source), saved, train, args.images)
    return Route(runtime, source, start, quantize.Quantizer(source, images, runtime), write)


def _for_mxnet(args, saved, train):
    from ..deploy import integers
    from ..deploy.export import provenance

    def write(path, quantized, facts, image):
        found = integers.verify(saved, quantized.file, image)
        print(f"verified  at two sizes and in batches: rounding moves logits by {found:.2g} std")
        more = {"quantization": facts, "made_of": provenance(saved)["checkpoint"]}
        integers.write(path, saved, quantized, more)

    images = _images(integers.start(saved), saved, train, args.images)
    quantizer = integers.Quantizer(saved, images)
    return Route("mxnet", saved, integers.start, quantizer, write)


def _data(args, saved):
    """(training images, validation images), of the checkpoint's classes."""
    from .. import data

    name, root, options, trained = shared.checkpoints_data(args, saved)
    splits = (
        trained.get("train_split") or "train",
        args.split or trained.get("val_split") or "val",
    )
    train, val = (data.create(name, split, root, **options) for split in splits)
    difference = saved.description.difference(val.info)
    if difference:
        raise UsageError(f"{saved.path} and data set '{name}' differ: {difference}.")
    return train, val


def _images(backend, saved, dataset, count):
    """Normalised images, or windows, of a data set, spread over it: as the protocol shows them."""
    import numpy as np

    from .. import progress
    from ..inference import merge
    from ..inference.protocol import Protocol

    protocol = Protocol.build(saved.meta)
    chosen = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int)
    for turn, index in enumerate(progress.over("calibrating")(chosen)):
        window, padded = merge.window(backend, dataset[int(index)].image, protocol, turn)
        yield backend.normalized(window[None], padded)


def _score(backend, saved, val):
    from ..inference import evaluator
    from ..inference.protocol import Protocol

    return evaluator.evaluate(backend, val, Protocol.build(saved.meta))["miou"]


def _speeds(saved, route, quantized, val):
    """How long both take, and the network in MXNet, in the same turns."""
    import mxnet as mx

    from .. import speed
    from ..inference.checkpoints import of_checkpoint

    channels = len(saved.description.mean)
    ready = [("float32", "mxnet", of_checkpoint(saved, [mx.cpu()]))]
    if route.runtime != "mxnet":
        ready.append(("float32", route.runtime, route.start(route.source)))
    ready.append(("int8", route.runtime, route.start(quantized.file)))
    found = [speed.Contestant(n, runtime, None, b, channels) for n, runtime, b in ready]
    how = speed.Convention("", warmup=2, repeats=9, stages=("network",))
    rows = speed.measure(found, how, val[0].image.shape[:2])
    parts = []
    for row in rows:
        passes = row["stages"]["network"]
        text = f"{row['network']} in {row['runtime']} {1000 * passes['median']:.1f} ms"
        parts.append(text + (f" ({passes['ratio']:.2f})" if parts else ""))
    return f"speed     {', '.join(parts)}, for {'x'.join(map(str, rows[0]['size']))}"
