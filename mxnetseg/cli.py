"""The command line: ``mxnetseg <verb>``. A verb's code is imported when it is called.

Exit codes: 0 fine, 1 the work failed, 2 wrong use. Errors are one or two sentences.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from .errors import MXNetSegError, UsageError
from .registry import unknown

PACKAGE = Path(__file__).resolve().parent

# flags that are short names of keys of the experiment
KEYS = {
    "model": "model.name",
    "backbone": "model.backbone",
    "output_stride": "model.output_stride",
    "aux": "model.aux",
    "data": "data.name",
    "data_root": "data.root",
    "workers": "data.workers",
    "preset": "augment.preset",
    "base": "augment.base_size",
    "crop": "train.crop_size",
    "batch_size": "train.batch_size",
    "epochs": "train.epochs",
    "seed": "train.seed",
    "log_interval": "train.log_interval",
    "lr": "optim.lr",
    "wd": "optim.weight_decay",
    "wandb": "log.wandb",
    "weights": "model.weights",
}


def main(argv=None):
    """Run a verb; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    try:
        parser = _parser()
        if argv and not argv[0].startswith("-") and argv[0] not in VERBS:
            raise unknown("command", argv[0], VERBS)
        args = parser.parse_args(argv)
        if args.verb is None:
            parser.print_help()
            return 2
        return VERBS[args.verb](args) or 0
    except MXNetSegError as error:
        if debug:
            raise
        print(f"mxnetseg: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mxnetseg: interrupted", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away: `mxnetseg models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        print(f"mxnetseg: {type(error).__name__}: {reason} (--debug shows where)", file=sys.stderr)
        return 1


# --- verbs -------------------------------------------------------------------------------------


def _train(args):
    from . import config, runtime
    from .engine import checkpoint

    flags = _flags(args)
    resume = None
    if args.resume is not None:
        path = args.resume or _newest("last.params", args.out)
        resume = checkpoint.read(path)
        if not resume.meta.get("progress"):
            raise UsageError(f"{path} was not written by training, so there is nothing to resume.")
        if args.config:
            raise UsageError("--resume takes the experiment from the checkpoint: drop --config.")
        experiment = config.parse(_merged(resume.meta["experiment"], flags))
        out = Path(args.out) if args.out else Path(path).parent
    else:
        experiment = config.build(flags, file=args.config)
        out = (
            Path(args.out)
            if args.out
            else home() / "weights" / experiment.model.name / _run(experiment)
        )
    if args.print_config:
        print(config.to_yaml(experiment), end="")
        return 0
    contexts = runtime.contexts(args.ctx)
    if resume is None and (out / "last.params").exists():
        raise UsageError(
            f"{out} holds a run already. Continue it with --resume {out / 'last.params'}, "
            "or choose another --out."
        )

    from .engine import trainer

    print(
        f"training {experiment.model.name} on {experiment.data.name}, {_names(contexts)} -> {out}"
    )
    try:
        best = trainer.train(experiment, contexts, out, resume)
    except trainer.Interrupted as stop:
        print(stop)
        return 0
    score = "not validated" if best is None else f"best mIoU {best:.4f}: {out / 'best.params'}"
    print(f"finished; {score}; last: {out / 'last.params'}")
    return 0


def _eval(args):
    from . import data, runtime
    from .engine import checkpoint, evaluator

    saved = checkpoint.read(args.checkpoint or _newest("best.params"))
    if not args.checkpoint:
        print(f"checkpoint {saved.path}")
    contexts = runtime.contexts(args.ctx)
    _same_network(saved, args)
    dataset, split = _eval_data(args, saved, data)
    protocol = evaluator.Protocol.build(
        saved.meta.get("protocol"), dataset.info, saved.meta, multi_scale=args.ms,
        mode=args.protocol, scales=args.scales, flip=args.flip, merge=args.merge,
        crop_size=_size(args.crop), base_size=args.base,
    )  # fmt: skip
    net = checkpoint.network(saved, contexts)
    out = Path(args.out) if args.out else home() / "runs" / "eval" / _stamp()
    print(
        f"{args.mode} on {len(dataset)} images ({split}), {protocol}, {_names(contexts)} -> {out}"
    )
    result = evaluator.run(
        net, dataset, protocol, contexts, out, score=args.mode == "val",
        predictions=args.mode != "val", submission=args.submission,
        normalization=(saved.meta["mean"], saved.meta["std"]),
        described={"checkpoint": saved.path, "split": split},
    )  # fmt: skip
    if args.mode == "val":
        print(evaluator.table(result))
        print(f"results: {out / 'results.json'}")
    else:
        print(f"coloured predictions: {out / 'color'}")
    if args.submission:
        print(f"submission: {out / 'submission.zip'}")
    return 0


def _predict(args):
    from . import runtime
    from .engine import checkpoint, predictor

    saved = checkpoint.read(args.checkpoint or _newest("best.params"))
    _same_network(saved, args)
    contexts = runtime.contexts(args.ctx)
    files = predictor.find_images(args.images)
    net = checkpoint.network(saved, contexts)
    out = Path(args.out) if args.out else home() / "runs" / "predict" / _stamp()
    failures = predictor.predict_files(
        net, saved.meta, files, out, contexts, multi_scale=args.ms, scales=args.scales,
        flip=args.flip,
    )  # fmt: skip
    for failure in failures:
        print(f"mxnetseg: {failure}", file=sys.stderr)
    print(f"{len(files) - len(failures)} of {len(files)} images predicted -> {out}")
    return 1 if failures else 0


def _convert(args):
    from .engine import importer

    if (args.source is None) == (args.target is None):
        raise UsageError("Give either --from (their file becomes ours) or --to (the other way).")
    if args.target:
        if args.build or args.classes or args.data:
            raise UsageError("--build, --classes and --data go with --from.")
        lines = importer.export_file(args.target, args.file, args.out)
    else:
        lines = importer.import_file(
            args.source, args.file, args.out, _json(args.build), _class_names(args.classes),
            args.data,
        )  # fmt: skip
    print("\n".join([*lines, f"written  {args.out}"]))
    return 0


def _check(args):
    from .data import check

    section = _data_section(args)
    report = check.check(section.name, args.split, section.root, **section.options)
    print(json.dumps(report.as_dict(), indent=1) if args.json else report.as_text())
    return 0 if report.ok else 1


def _stats(args):
    from . import data
    from .engine.trainer import progress_bar

    section = _data_section(args)
    split = args.split or section.train_split
    dataset = data.create(section.name, split, section.root, **section.options)
    found = data.stats.measure(dataset, progress=progress_bar("measuring"), cache=not args.no_cache)
    print(json.dumps(found.as_dict(), indent=1) if args.json else found.as_text())
    return 0


def _browse(args):
    from . import config, data
    from .engine import files, trainer

    flags = {**_flags(args), "data.name": args.dataset}
    experiment = config.build(flags, file=args.config)
    section = experiment.data
    split = args.split or section.train_split
    dataset = data.create(section.name, split, section.root, **section.options)
    transform = None
    if args.augmented:
        net = trainer.create_network(experiment.model, dataset.info.num_classes)
        experiment = trainer.with_sizes(experiment, dataset, net)
        transform = trainer.transform(experiment, dataset.info)
    out = Path(args.out) if args.out else home() / "runs" / "browse" / _stamp()
    pages = data.browse.sheets(
        dataset, args.count, args.columns, args.cell, transform, experiment.train.seed, args.epoch
    )
    stem = f"{dataset.info.name}_{split}{'_augmented' if args.augmented else ''}"
    for number, page in enumerate(pages, 1):
        path = out / f"{stem}_{number:02d}.png"
        files.write(path, files.png(page))
        print(path)
    return 0


def _prepare(args):
    from .data import prepare
    from .engine.trainer import progress_bar

    root = args.data_root or _default_root(args.dataset)
    result = prepare.prepare(args.dataset, root, args.out, args.workers, progress_bar("preparing"))
    name = result.data or args.dataset
    print(f"{result.made} files made, {result.there} were there already.")
    print(f"Look at it: mxnetseg check --data {name} --data-root {result.out}")
    return 0


def _datasets(args):
    from . import data

    for name in data.names():
        info = data.info(name)
        print(f"{name:20s} {info.num_classes:4d} classes  {info.title}")


def _models(args):
    from .models import table

    if args.name is None:
        rows, text = table.table(args.backbone, args.classes), table.as_text
    elif args.backbone:
        rows, text = [table.facts(args.name, args.backbone, args.classes)], table.as_text_of
    else:
        rows, text = table.table_of(args.name, args.classes), table.as_text_of
    print(json.dumps(rows, indent=1) if args.json else text(rows))


def _doctor(args):
    from . import runtime

    lines, ok = runtime.doctor()
    print("\n".join(lines))
    return 0 if ok else 1


VERBS = {
    "train": _train,
    "eval": _eval,
    "predict": _predict,
    "convert": _convert,
    "check": _check,
    "stats": _stats,
    "browse": _browse,
    "prepare": _prepare,
    "datasets": _datasets,
    "models": _models,
    "doctor": _doctor,
}


# --- arguments ---------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """Wrong use in one sentence."""

    def error(self, message):
        raise UsageError(f"{message}. See `{self.prog} --help`.")


def _parser():
    parser = _Parser(prog="mxnetseg", description="Semantic segmentation on MXNet.")
    verbs = parser.add_subparsers(dest="verb", metavar="<verb>")

    train = verbs.add_parser("train", help="train a network, or resume a run")
    _common(train)
    _experiment(train)
    train.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="CHECKPOINT",
        help="continue a run exactly; without a path, the one in --out or the newest",
    )
    train.add_argument("--checkpoint", dest="weights", metavar="FILE", help="weights to start from")
    train.add_argument("--wandb", metavar="PROJECT")

    evaluate = verbs.add_parser("eval", help="score a checkpoint, or colour a split")
    _common(evaluate)
    _protocol(evaluate)
    evaluate.add_argument("--checkpoint", metavar="FILE", help="default: the newest best.params")
    evaluate.add_argument(
        "--mode",
        choices=("val", "testval", "test"),
        default="val",
        help="val: scores; testval, test: coloured predictions",
    )
    evaluate.add_argument("--split", help="default: the mode's own")
    evaluate.add_argument("--submission", action="store_true", help="write what a server wants")
    evaluate.add_argument("--data", metavar="NAME", help="default: the checkpoint's")
    evaluate.add_argument("--data-root", metavar="DIR")
    evaluate.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="data.options.KEY=VALUE"
    )
    evaluate.add_argument("--model", help="checked against the checkpoint")
    evaluate.add_argument("--backbone", help="checked against the checkpoint")
    evaluate.add_argument("--protocol", choices=("whole", "slide"))
    evaluate.add_argument("--crop", nargs="+", type=int, help="window of --protocol slide")
    evaluate.add_argument("--base", type=int, help="long side at scale 1")
    evaluate.add_argument("--merge", choices=("prob", "exp"), help="how scores are merged")

    predict = verbs.add_parser("predict", help="segment images, folders or globs")
    _common(predict)
    _protocol(predict)
    predict.add_argument("images", nargs="+")
    predict.add_argument("--checkpoint", metavar="FILE", help="default: the newest best.params")
    predict.add_argument("--model", help="checked against the checkpoint")
    predict.add_argument("--backbone", help="checked against the checkpoint")

    convert = verbs.add_parser("convert", help="read or write other code bases' checkpoints")
    convert.add_argument("file", metavar="FILE", help="what to convert")
    convert.add_argument("--out", "-o", metavar="FILE", required=True)
    convert.add_argument(
        "--from", dest="source", metavar="ORIGIN",
        help="mxnetseg, semseg, sanet, pidnet, mlmsnet, pmsdsen; ImageNet weights: torchvision, "
        "timm, gluoncv",
    )  # fmt: skip
    convert.add_argument("--to", dest="target", metavar="ORIGIN", help="in that code base's names")
    convert.add_argument(
        "--build", metavar="JSON", help="what the file does not show, in the original's words"
    )
    convert.add_argument(
        "--classes", nargs="+", metavar="NAME", help="names in order, or a file with one per line"
    )
    convert.add_argument("--data", metavar="NAME", help="the data set that it was trained on")

    check = verbs.add_parser("check", help="look for mistakes in a data set")
    _dataset(check)
    check.add_argument("--split", help="default: all")
    check.add_argument("--json", action="store_true")

    stats = verbs.add_parser("stats", help="mean, std, class frequencies and weights of a data set")
    _dataset(stats)
    stats.add_argument("--split", help="default: the training split")
    stats.add_argument("--json", action="store_true")
    stats.add_argument("--no-cache", action="store_true", help="read every file again")

    prepare = verbs.add_parser("prepare", help="make masks and lists of what authors distribute")
    prepare.add_argument("dataset", help="a data set's name")
    prepare.add_argument("--data-root", metavar="DIR", help="the folder of the originals")
    prepare.add_argument("--out", "-o", metavar="DIR", help="default: beside the originals")
    prepare.add_argument("--workers", type=int, help="threads; default: all cores")

    browse = verbs.add_parser("browse", help="pictures of images with their masks")
    browse.add_argument("dataset", help="a data set's name, a folder or a YAML file")
    browse.add_argument("--out", "-o", metavar="DIR")
    browse.add_argument("--split", help="default: the training split")
    browse.add_argument("--augmented", action="store_true", help="as training sees them")
    browse.add_argument("--count", type=int, default=12, help="pictures in all")
    browse.add_argument("--columns", type=int, default=3)
    browse.add_argument("--cell", type=int, default=320, help="width of a picture in pixels")
    augmented = browse.add_argument_group("with --augmented")
    augmented.add_argument("--epoch", type=int, default=0)
    augmented.add_argument("--preset", choices=("mxnetseg", "semseg", "sanet", "pmsdsen"))
    _sizes(augmented)
    augmented.add_argument("--seed", type=int)
    _source(browse)

    networks = verbs.add_parser("models", help="list the networks, or describe one")
    networks.add_argument("name", nargs="?", help="default: a table of all")
    networks.add_argument("--backbone", help="default: each network's own; with a name: all")
    networks.add_argument("--classes", type=int, default=19, help="for the parameter counts")
    networks.add_argument("--json", action="store_true")
    for name, text in (
        ("datasets", "list the known data sets"),
        ("doctor", "describe this installation"),
    ):
        verbs.add_parser(name, help=text)
    for verb in verbs.choices.values():
        verb.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


def _common(parser):
    parser.add_argument("--out", "-o", metavar="DIR")
    parser.add_argument("--ctx", nargs="+", metavar="DEVICE", help="GPU numbers, or cpu")


def _protocol(parser):
    parser.add_argument("--ms", action="store_true", help="the data set's scales, and mirrored")
    parser.add_argument("--scales", nargs="+", type=float)
    parser.add_argument("--flip", action="store_true", default=None, help="mirrored images too")


def _source(parser):
    parser.add_argument("--config", metavar="FILE")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--data-root", metavar="DIR")


def _dataset(parser):
    _source(parser)
    parser.add_argument("--data", metavar="NAME", help="a data set's name, a folder or a YAML file")


def _sizes(parser):
    parser.add_argument("--crop", nargs="+", type=int, help="a side, or height and width")
    parser.add_argument("--base", type=int, help="long side at scale 1")


def _experiment(parser):
    _source(parser)
    parser.add_argument("--seed", type=int)
    _sizes(parser)
    parser.add_argument("--print-config", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--backbone")
    parser.add_argument("--output-stride", type=int)
    parser.add_argument("--aux", action="store_const", const=True)
    parser.add_argument("--no-aux", dest="aux", action="store_const", const=False)
    parser.add_argument("--data", metavar="NAME", help="a data set's name, a folder or a YAML file")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--wd", type=float)
    parser.add_argument("--log-interval", type=int)
    parser.add_argument("--no-val", action="store_true", help="no validation while training")


def _flags(args):
    """{dotted key: value} of the flags that were given; --set has the last word."""
    from . import config

    given = {key: getattr(args, flag, None) for flag, key in KEYS.items()}
    given = {key: value for key, value in given.items() if value is not None}
    if "train.crop_size" in given:
        given["train.crop_size"] = _size(args.crop)
    if getattr(args, "no_val", False):
        given["train.validate_every"] = 0
    return {**given, **config.overrides(args.set)}


def _size(values):
    if values is None:
        return None
    if len(values) > 2:
        raise UsageError("--crop takes a side, or height and width.")
    return values[0] if len(values) == 1 else list(values)


def _json(text):
    """The mapping that --build holds."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"--build takes JSON, for example '{{\"classes\": 19}}', not '{text}'.")
    return value


def _class_names(names):
    """Names, or those in a file."""
    if not names or len(names) > 1 or not Path(names[0]).is_file():
        return names
    try:
        lines = Path(names[0]).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{names[0]} is no text with one class name per line.") from None
    return [line.strip() for line in lines if line.strip()]


def _merged(tree, flags):
    """Nested mappings with dotted keys put over them."""
    from . import config

    tree = json.loads(json.dumps(tree))
    for key, value in flags.items():
        config.put(tree, key, value)
    return tree


# --- small things ------------------------------------------------------------------------------


def home():
    """Where weights/ and runs/ lie: here, or beside the package when called from inside it."""
    here = Path.cwd()
    return PACKAGE.parent if here == PACKAGE else Path()


def _stamp():
    return time.strftime("%Y%m%d-%H%M%S")


def _run(experiment):
    backbone = experiment.model.backbone or "default"
    return f"{backbone}_{Path(experiment.data.name).stem}_{_stamp()}"


def _names(contexts):
    return ", ".join(str(c) for c in contexts)


def _newest(name, folder=None):
    root = Path(folder) if folder else home() / "weights"
    found = sorted(root.glob(f"**/{name}"), key=lambda p: p.stat().st_mtime)
    if not found:
        raise UsageError(f"There is no {name} below {root}. Train first, or name a checkpoint.")
    return str(found[-1])


def _same_network(saved, args):
    """Refuse --model and --backbone that contradict the checkpoint."""
    for flag, key in (("model", "name"), ("backbone", "backbone")):
        asked, has = getattr(args, flag), saved.meta["network"].get(key)
        if asked and has and asked.lower() != has.lower():
            raise UsageError(
                f"{saved.path} holds {key} '{has}', not '{asked}'. Drop --{flag}, or give the "
                "right checkpoint."
            )


def _default_root(name):
    """The folder of a data set of the catalog."""
    from .data import layout, spec

    return layout.default_root(spec.info(name))


def _data_section(args):
    """What an experiment says about its data: of --config, --data, --data-root and --set."""
    from . import config

    return config.build(_flags(args), file=args.config).data


def _data_options(args):
    """The data set's options among --set; there is nothing else to set."""
    from . import config

    tree = {}
    for key, value in config.overrides(args.set).items():
        if not f"{key}.".startswith("data.options."):
            raise UsageError(
                f"'{key}' cannot be set here: the experiment is the checkpoint's. Only "
                "data.options.KEY=VALUE can."
            )
        config.put(tree, key, value)
    return tree.get("data", {}).get("options", {})


def _eval_data(args, saved, data):
    section = (saved.meta.get("experiment") or {}).get("data", {})
    name = args.data or section.get("name")
    if name is None:
        raise UsageError("The checkpoint does not say which data it was trained on: give --data.")
    same = args.data in (None, section.get("name"))
    root = args.data_root or (section.get("root") if same else None)
    split = args.split or (
        "test" if args.mode == "test" else (section.get("val_split") if same else None) or "val"
    )
    options = {**(section.get("options", {}) if same else {}), **_data_options(args)}
    dataset = data.create(name, split, root, **options)
    trained = saved.meta["classes"]
    if len(trained) != dataset.info.num_classes:
        raise UsageError(
            f"{saved.path} has {len(trained)} classes ({trained[0]} ... {trained[-1]}), but data "
            f"set '{name}' has {dataset.info.num_classes}. Give the data that it was trained on."
        )
    return dataset, split
