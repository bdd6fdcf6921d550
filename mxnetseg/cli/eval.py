"""Score a checkpoint, or colour a split."""

from ..columns import counted
from ..errors import UsageError
from . import arguments as shared
from . import backends, places

HELP = "score a checkpoint, or colour a split"
EXAMPLES = """examples:
  mxnetseg eval --checkpoint weights/fcn/run/best.params --mode val --ms
  mxnetseg eval --checkpoint converted.params --protocol semseg --ms
  mxnetseg eval --checkpoint best.params --mode test --submission"""


def arguments(parser):
    shared.out(parser)
    shared.devices(parser)
    shared.protocol(parser)
    shared.data(parser, split="the mode's own")
    shared.settings(parser, "data.options.KEY=VALUE|eval.KEY=VALUE")
    shared.network(parser)
    shared.metrics(parser)
    backends.arguments(parser)
    parser.add_argument(
        "--mode",
        choices=("val", "testval", "test"),
        default="val",
        help="val: scores; testval, test: coloured predictions",
    )
    parser.add_argument(
        "--predictions",
        action="store_true",
        help="with --mode val: write colours, label maps and error maps too",
    )
    shared.index(parser)
    parser.add_argument("--submission", action="store_true", help="write what a server wants")
    parser.add_argument(
        "--class-map",
        action="store_true",
        help="the data set has the same classes in another order: map them by name",
    )


def run(args):
    from .. import metrics
    from ..inference import evaluator, results

    found = backends.find(args)
    saved = found.saved
    dataset, split, order, described = data_of(args, saved)
    scored = args.mode == "val"
    measured = metrics.create(args.metrics, dataset) if scored else []
    protocol = shared.asked_protocol(args, saved, dataset.info, published=True)
    backend, where = backends.start(args, found, lambda: (dataset[0].image, protocol))
    out = places.out(args, "eval")
    many = counted(len(dataset), "image")
    print(f"{args.mode} on {many} ({split}), {protocol}, {where} -> {out}")
    result = evaluator.run(
        backend, dataset, protocol, measured, out,
        predictions=args.predictions or not scored, submission=args.submission, order=order,
        described={
            "checkpoint": saved.path, "runtime": backend.runtime, "split": split,
            "data": described, "order": order, "index": args.index,
        },
    )  # fmt: skip
    if scored:
        print(results.table(result))
        print(f"results: {out / 'results.json'}")
    if args.predictions or not scored:
        print(f"coloured predictions: {out / 'color'}")
    if args.submission:
        print(f"submission: {out / 'submission.zip'}")
    return 0


def data_of(args, saved):
    """(data set, split, for each class of the network that of the data set or None, the data)."""
    from .. import data

    name, root, options, trained = shared.checkpoints_data(args, saved)
    split = args.split or ("test" if args.mode == "test" else trained.get("val_split") or "val")
    dataset = shared.part(args, data.create(name, split, root, **options))
    described = {"name": name, "root": root, "split": split, "options": options}
    return dataset, split, _order(args, saved, dataset.info), described


def _order(args, saved, info):
    """How the classes are mapped; UsageError if they differ and nobody said that they may."""
    difference = saved.description.difference(info)
    if difference is None:
        return None
    order = saved.description.order_in(info)
    if order and args.class_map:
        return order
    remedy = (
        "Give --class-map to map them by name."
        if order
        else "Give the data that it was trained on, or convert the checkpoint with --data."
    )
    raise UsageError(f"{saved.path} and data set '{info.name}' differ: {difference}. {remedy}")
