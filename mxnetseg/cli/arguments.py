"""What several verbs ask for: the same words mean the same in all of them."""

import argparse
import re

from ..errors import UsageError

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

# the options that take several values, and what such a value looks like
SEVERAL = {
    "--ctx": r"cpu(\(\d+\))?|(gpu)?\(?\d+\)?",
    "--scales": r"[0-9.]+(e-?\d+)?",
    "--crop": r"\d+",
    "--size": r"\d+",
    "--channels": r"\d+",
    "--class": None,
    "--stages": r"[a-z]+",
    "--runtime": r"mxnet|onnxruntime|openvino|auto",
    "--precision": r"float32|bf16|int8",
    "--compare": None,  # anything
    "--metrics": r"[a-z_]+",
    "--set": r"[^=]+=.*",
    "--classes": None,  # anything
}


INNER = ("verb", "what", "help")  # arguments that a parser of its own reads on from


class Parser(argparse.ArgumentParser):
    """Wrong use in one sentence; options that take several values leave the positional ones alone.

    argparse gives ``predict --ctx cpu photo.jpg`` a device called photo.jpg.
    """

    def __init__(self, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def error(self, message):
        raise UsageError(f"{message}. See `{self.prog} --help`.")

    def parse_known_args(self, args=None, namespace=None):
        if args is not None and self._positional():
            args = self._spread(list(args))
        return super().parse_known_args(args, namespace)

    def _positional(self):
        return [a for a in self._actions if not a.option_strings and a.dest not in INNER]

    def _spread(self, args):
        """``--ctx 0 1 photo.jpg`` -> ``photo.jpg --ctx 0 1``: the positional values go first."""
        end = args.index("--") if "--" in args else len(args)
        free, options, several, last = [], [], None, None
        for arg in args[:end]:
            if re.match(r"--?[A-Za-z]", arg):
                several, count = self._several(arg), 0
                options.append(arg)
                last = arg if several else last
            elif several and (count == 0 or re.fullmatch(SEVERAL[several] or ".*", arg)):
                options.append(arg)
                count += 1
            elif not several and options and self._takes_value(options[-1]):
                options.append(arg)
            else:
                free.append(arg)
        required = any(a.nargs in (None, "+") for a in self._positional())
        if required and not free and end == len(args) and last and SEVERAL[last] is None:
            taken = options.index(last)
            stop = next(
                (k for k in range(taken + 1, len(options)) if options[k].startswith("-")),
                len(options),
            )
            if stop - taken > 2:
                free = [options.pop(stop - 1)]
        return [*free, *options, *args[end:]]

    def _several(self, option):
        action = self._option_string_actions.get(option)
        return option if action is not None and action.nargs == "+" else None

    def _takes_value(self, option):
        action = self._option_string_actions.get(option.partition("=")[0])
        return action is not None and action.nargs is None and "=" not in option


def devices(parser):
    parser.add_argument("--ctx", nargs="+", metavar="DEVICE", help="GPU numbers, or cpu")


def out(parser, text="a new folder below runs/ unless given"):
    parser.add_argument("--out", "-o", metavar="DIR", help=text)


def settings(parser, metavar="KEY=VALUE"):
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar=metavar, help="single settings"
    )


def data(parser, name="--data", split="all"):
    """``--data NAME --data-root DIR --split S --set data.options.KEY=VALUE``.

    Args:
        name: where the name stands; "dataset" for a positional one, which --data may replace.
        split: the default, for the help.
    """
    text = "a data set's name, a folder or a YAML file"
    if name == "--data":
        parser.add_argument("--data", metavar="NAME", help=text)
    else:
        parser.add_argument(name, nargs="?", metavar="NAME", help=text)
        parser.add_argument("--data", metavar="NAME", help="the same")
    parser.add_argument("--data-root", metavar="DIR", help="its folder")
    if split:
        parser.add_argument("--split", help=f"default: {split}")


def experiment(parser):
    """Where an experiment comes from: ``--config FILE --set KEY=VALUE``."""
    parser.add_argument("--config", metavar="FILE", help="an experiment as YAML")
    settings(parser)


def sizes(parser):
    parser.add_argument(
        "--crop", nargs="+", type=positive, metavar="N", help="a side, or height and width"
    )
    parser.add_argument("--base", type=positive, help="long side at scale 1")


def network(parser):
    parser.add_argument("--model", help="checked against the checkpoint")
    parser.add_argument("--backbone", help="checked against the checkpoint")


def metrics(parser):
    parser.add_argument(
        "--metrics", nargs="+", default=[], metavar="NAME",
        help="besides mIoU, accuracies, Dice and precision: boundary_iou, boundary_f, "
        "boundary_distance, calibration, bootstrap, cityscapes; or all that fit the data",
    )  # fmt: skip


def index(parser):
    parser.add_argument(
        "--index",
        metavar="START:STEP",
        help="score images START, START + STEP ... only: several processes share the work, and "
        "score --merge adds up",
    )


def part(args, dataset):
    """The data set, or the share of it that --index names."""
    if args.index is None:
        return dataset
    from ..data import Part

    found = re.fullmatch(r"(\d+):(\d+)", args.index)
    if not found or int(found.group(2)) < 1:
        raise UsageError(f"--index takes START:STEP, such as 0:4, not '{args.index}'.")
    return Part(dataset, int(found.group(1)), int(found.group(2)))


def protocol(parser):
    """How images are scored: the keys of section ``eval``."""
    parser.add_argument("--ms", action="store_true", help="the data set's scales, and mirrored")
    parser.add_argument("--scales", nargs="+", type=float, help="whose scores are averaged")
    parser.add_argument("--flip", action="store_true", default=None, help="mirrored images too")
    parser.add_argument(
        "--protocol",
        metavar="NAME",
        help="whole, slide, or an original's: mxnetseg, semseg, mlmsnet, pidnet, sanet, pmsdsen",
    )
    parser.add_argument(
        "--crop", nargs="+", type=positive, help="window: a side, or height and width"
    )
    parser.add_argument("--base", type=positive, help="long side at scale 1")
    parser.add_argument(
        "--merge", choices=("prob", "exp", "exp_mean", "logits"), help="how scores are merged"
    )


# --- what was given ----------------------------------------------------------------------------


def flags(args):
    """{dotted key: value} of the flags that were given; --set has the last word."""
    from .. import config

    given = {key: getattr(args, flag, None) for flag, key in KEYS.items()}
    given = {key: value for key, value in given.items() if value is not None}
    if "train.crop_size" in given:
        given["train.crop_size"] = size(args.crop)
    if getattr(args, "no_val", False):
        given["train.validate_every"] = 0
    return {**given, **config.overrides(args.set)}


def positive(text):
    """The type of an argument that counts or measures something."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 on")
    return int(text)


def size(values):
    """A side or [height, width] of what --crop was given."""
    if values is None:
        return None
    if len(values) > 2:
        raise UsageError("--crop takes a side, or height and width.")
    return values[0] if len(values) == 1 else list(values)


def data_section(args):
    """What an experiment says about its data: of --config, --data, --data-root and --set."""
    from .. import config

    named = getattr(args, "dataset", None)
    if named is not None and args.data not in (None, named):
        raise UsageError(f"Two data sets are named: {named} and --data {args.data}.")
    given = flags(args)
    if named is not None:
        given["data.name"] = named
    return config.build(given, file=getattr(args, "config", None)).data


def checkpoints_data(args, saved):
    """The data of a checkpoint's experiment, under what --data, --data-root and --set say.

    Returns:
        (name, root, options, the experiment's section "data"; {} if it is of other data).
    """
    section = saved.experiment.get("data", {})
    name = args.data or section.get("name")
    if name is None:
        raise UsageError("The checkpoint does not say which data it was trained on: give --data.")
    section = section if args.data in (None, section.get("name")) else {}
    given = set_within(args, "data.options", "eval").get("data", {}).get("options", {})
    options = {**section.get("options", {}), **given}
    return name, args.data_root or section.get("root"), options, section


def set_within(args, *sections):
    """The --set of a verb whose experiment is the checkpoint's: nested, and of these sections.

    Args:
        sections: dotted beginnings: "data.options", "eval".
    """
    from .. import config

    tree = {}
    for key, value in config.overrides(args.set).items():
        if not any(f"{key}.".startswith(f"{s}.") for s in sections):
            raise UsageError(
                f"'{key}' cannot be set here: the experiment is the checkpoint's. Only "
                f"{' and '.join(s + '.KEY=VALUE' for s in sections)} can."
            )
        config.put(tree, key, value)
    return tree


def asked_protocol(args, saved, description, published=False):
    """The checkpoint's Protocol under what flags and --set eval.KEY=VALUE ask for.

    Args:
        saved: Checkpoint. description: of the data, for --ms and the sizes of a preset.
        published: a converted checkpoint that says nothing is scored as its origin does.
    """
    from .. import config
    from ..inference.presets import PRESETS
    from ..inference.protocol import CHOICES, Protocol

    own = args.protocol in (None, *CHOICES["mode"])
    given = {
        "mode" if own else "preset": args.protocol,
        "scales": args.scales,
        "flip": args.flip,
        "merge": args.merge,
        "crop_size": size(args.crop),
        "base_size": args.base,
    }
    section = set_within(args, "data.options", "eval").get("eval", {})
    checked = config.parse({"eval": section}).eval
    given.update({key: getattr(checked, key) for key in section})
    given["preset"] = given.pop("protocol", None) or given.get("preset")
    origin = (saved.meta.get("origin") or {}).get("system")
    nothing_said = not (given.get("mode") or given["preset"] or saved.meta.get("protocol"))
    if published and nothing_said and origin in PRESETS:
        given["preset"] = origin
        print(f"The checkpoint comes from {origin}: evaluated as published there.")
    multi_scale = description.scales if args.ms else None
    return Protocol.build(saved.meta, multi_scale, description.name, **given)
