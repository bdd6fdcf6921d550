"""Write a checkpoint as ONNX in 8-bit integers, calibrated on training images.

Its mIoU on the validation split is held against float32. Where too much is lost, the parts of the
network that suffer most are left in float; where it still is, no file is written.
"""

import json

from ..errors import MXNetSegError, UsageError
from . import arguments as shared

HELP = "write a checkpoint as ONNX in 8-bit integers"
EXAMPLES = """examples:
  mxnetseg quantize best.params -o net_int8.onnx
  mxnetseg quantize best.params --data cityscapes --data-root /data/Cityscapes -o net_int8.onnx"""

LIMIT = 0.005  # of mIoU
RANKING_IMAGES = 4


def arguments(parser):
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .params file")
    parser.add_argument("--out", "-o", metavar="FILE", required=True, help="an .onnx file")
    shared.data(parser, split="the experiment's validation split")
    shared.settings(parser, "data.options.KEY=VALUE")
    parser.add_argument("--images", type=int, default=64, help="to calibrate on; default: 64")
    parser.add_argument(
        "--form", choices=("logits", "scores", "classes"), default="classes",
        help="as of export; default: classes",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write it whatever it loses")


def run(args):
    from .. import checkpoint, files
    from ..deploy import quantize
    from ..deploy.export import provenance
    from ..deploy.forms import build
    from ..inference import onnxfile

    if not args.out.lower().endswith(".onnx"):
        raise UsageError(f"The file must end in .onnx, not '{args.out}'.")
    if args.images < 1:
        raise UsageError("--images counts from 1.")
    saved = checkpoint.read(args.checkpoint)
    train, val = _data(args, saved)
    net = checkpoint.network(saved)
    model = build(net, saved.description, args.form, more=provenance(saved))
    source = onnxfile.of_model(model, saved.path)
    quantizer = quantize.Quantizer(source, _images(source, train, args.images))
    before = _score(source, saved, val)
    quantized, after = quantize.search(
        quantizer,
        lambda file: _score(file, saved, val),
        lambda file: _start(file).run,
        list(_images(source, train, RANKING_IMAGES)),
        before - LIMIT,
    )
    count = min(args.images, len(train))
    print(f"calibrated on {count} images of {train.info.name}, scored on {len(val)}")
    print(f"mIoU      float32 {before:.4f}, int8 {after:.4f}")
    print(f"in float  {', '.join(quantized.floating) or 'nothing'}")
    print(_speeds(net, saved, source, quantized.file, val))
    if after < before - LIMIT and not args.force:
        raise MXNetSegError(
            f"In integers the network loses {100 * (before - after):.2f} mIoU points, more than "
            f"{100 * LIMIT:g}; nothing is written. Give more --images, or --force."
        )
    facts = {
        "images": count,
        "float": quantized.floating,
        "miou": {"float32": before, "int8": after},
    }
    entries = {"precision": "int8", "quantization": facts}
    entries = {key: json.dumps(value) for key, value in entries.items()}
    whole = quantize.surrounded(model, quantized, entries)
    onnxfile.seal(whole)
    with files.replacing(args.out) as aside:
        aside.write_bytes(whole.SerializeToString())
        onnxfile.read(aside)
    print(f"-> {args.out}")
    return 0


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


def _images(source, dataset, count):
    """Normalised images of a data set, spread over it, as the network takes them."""
    import numpy as np

    backend = _start(source)
    for index in np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int):
        yield backend.normalized(dataset[int(index)].image[None])


def _start(file):
    from ..inference import runtimes

    return runtimes.start("onnxruntime", file, ["cpu"])


def _score(file, saved, val):
    from ..inference import evaluator
    from ..inference.protocol import Protocol

    return evaluator.evaluate(_start(file), val, Protocol.build(saved.meta))["miou"]


def _speeds(net, saved, source, quantized, val):
    """How long both take, and the network in MXNet, in the same turns."""
    import mxnet as mx

    from .. import speed
    from ..inference.backend import MXNetBackend

    about = saved.description
    backend = MXNetBackend(net, [mx.cpu()], about.mean, about.std)
    found = [speed.Contestant("float32", "mxnet", backend.fused, backend, net.in_channels)]
    for name, file in (("float32", source), ("int8", quantized)):
        found.append(speed.Contestant(name, "onnxruntime", None, _start(file), net.in_channels))
    how = speed.Convention("", warmup=2, repeats=9, stages=("network",))
    rows = speed.measure(found, how, val[0].image.shape[:2])
    text = (
        f"{row['network']} in {row['runtime']} {1000 * row['stages']['network']['median']:.1f} ms"
        for row in rows
    )
    return f"speed     {', '.join(text)}, for {'x'.join(map(str, rows[0]['size']))}"
