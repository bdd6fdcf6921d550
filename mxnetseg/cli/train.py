"""Train a network, or resume a run."""

import json
from pathlib import Path

from ..errors import UsageError
from . import arguments as shared
from . import places

HELP = "train a network, or resume a run"
EXAMPLES = """examples:
  mxnetseg train --model fcn --backbone resnet50 --data cityscapes --ctx 0 1 2 3
  mxnetseg train --config configs/camvid/swiftnet_resnet18_quick.yaml --set train.epochs=5"""


def arguments(parser):
    shared.out(parser, "default: weights/<model>/<run>")
    shared.devices(parser)
    shared.experiment(parser)
    shared.data(parser, split=None)
    shared.sizes(parser)
    parser.add_argument("--print-config", action="store_true", help="all settings, and stop")
    parser.add_argument("--model", metavar="NAME", help="the network, see mxnetseg models")
    parser.add_argument("--backbone", metavar="NAME", help="default: the network's own")
    parser.add_argument("--output-stride", type=int, metavar="N", help="of the backbone: 8, 16, 32")
    parser.add_argument("--aux", action="store_const", const=True, help="with auxiliary heads")
    parser.add_argument(
        "--no-aux", dest="aux", action="store_const", const=False, help="without auxiliary heads"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="loader threads")
    parser.add_argument(
        "--batch-size", type=int, metavar="N", help="images, of all devices together"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    parser.add_argument("--lr", type=float, metavar="X", help="learning rate")
    parser.add_argument("--wd", type=float, metavar="X", help="weight decay")
    parser.add_argument("--seed", type=int, metavar="N", help="of weights, order and augmentation")
    parser.add_argument("--log-interval", type=int, metavar="N", help="steps between two lines")
    parser.add_argument("--no-val", action="store_true", help="no validation while training")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="CHECKPOINT",
        help="continue a run exactly; without a path, the one in --out or the newest",
    )
    parser.add_argument(
        "--checkpoint", dest="weights", metavar="FILE", help="weights to start from"
    )
    parser.add_argument("--wandb", metavar="PROJECT", help="log to Weights & Biases too")


def run(args):
    from ..training import group

    with group.joined() as workers:
        return _run(args, workers)


def _run(args, group):
    from .. import checkpoint, config, runtime

    flags = shared.flags(args)
    resume = None
    if args.resume is not None:
        path = args.resume
        if not path and group.rank == 0:
            path = places.newest("last.params", args.out)
        path = group.share(path)
        resume = group.read(path, checkpoint.read)
        if not resume.meta.get("progress"):
            raise UsageError(f"{path} was not written by training, so there is nothing to resume.")
        if {"model.weights", "model.backbone_weights"} & set(flags):
            raise UsageError(
                "--resume goes on with the parameters of its own checkpoint: drop --checkpoint, or "
                "begin a new run from it without --resume."
            )
        if args.config:
            raise UsageError("--resume takes the experiment from the checkpoint: drop --config.")
        experiment = config.parse(_merged(resume.meta["experiment"], flags))
        out = Path(args.out) if args.out else Path(path).parent
    else:
        experiment = config.build(flags, file=args.config)
        out = Path(args.out) if args.out else _folder(experiment)
    if args.print_config:
        if group.rank == 0:
            print(config.to_yaml(experiment), end="")
        return 0
    contexts = runtime.contexts(args.ctx)
    out = Path(group.share(str(out)))
    if group.rank == 0 and resume is None and (out / "last.params").exists():
        raise UsageError(
            f"{out} holds a run already. Continue it with --resume {out / 'last.params'}, "
            "or choose another --out."
        )

    from ..training import trainer

    where = places.names(contexts) + (f" x {group.size} workers" if group.size > 1 else "")
    if group.rank == 0:
        print(f"training {experiment.model.name} on {experiment.data.name}, {where} -> {out}")
    best = trainer.train(experiment, contexts, out, resume, group)
    if group.rank:
        return 0
    score = "not validated" if best is None else f"best mIoU {best:.4f}: {out / 'best.params'}"
    print(f"finished; {score}; last: {out / 'last.params'}")
    return 0


def _folder(experiment):
    backbone = experiment.model.backbone or "default"
    run = f"{backbone}_{Path(experiment.data.name).stem}_{places.stamp()}"
    return places.home() / "weights" / experiment.model.name / run


def _merged(tree, flags):
    """Nested mappings with dotted keys put over them."""
    from .. import config

    tree = json.loads(json.dumps(tree))
    for key, value in flags.items():
        config.put(tree, key, value)
    return tree
