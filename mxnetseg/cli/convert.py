"""Read or write other code bases' checkpoints."""

import json
from pathlib import Path

from ..errors import UsageError

HELP = "read or write other code bases' checkpoints"
EXAMPLES = """examples:
  mxnetseg convert --from semseg psanet50.pth -o weights/psanet.params --data ade20k
  mxnetseg convert weights/psanet.params --to semseg -o back.pth
  mxnetseg convert best.params --half -o small.params"""


def arguments(parser):
    parser.add_argument("file", metavar="FILE", help="what to convert")
    parser.add_argument(
        "--out", "-o", metavar="FILE", required=True, help="its ending is its format"
    )
    parser.add_argument(
        "--from", dest="source", metavar="ORIGIN",
        help="mxnetseg, semseg, sanet, pidnet, mlmsnet, pmsdsen; ImageNet weights: torchvision, "
        "timm, gluoncv, tonylins",
    )  # fmt: skip
    parser.add_argument(
        "--to",
        dest="target",
        metavar="ORIGIN",
        help="in that code base's names; torchvision, timm: the backbone alone",
    )
    parser.add_argument(
        "--build", metavar="JSON", help="what the file does not show, in the original's words"
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="names in order, or a file with one per line"
    )
    parser.add_argument("--data", metavar="NAME", help="the data set that it was trained on")
    parser.add_argument(
        "--half", action="store_true", help="our file as ours, smaller: float16, nothing to resume"
    )


def run(args):
    from .. import checkpoint
    from ..convert import command

    if [args.source is None, args.target is None, not args.half].count(False) != 1:
        raise UsageError(
            "Give either --from (their file becomes ours), --to (the other way) or --half."
        )
    if args.half:
        checkpoint.halve(args.file, args.out)
        lines = [f"read     {args.file}"]
    elif args.target:
        if args.build or args.classes or args.data:
            raise UsageError("--build, --classes and --data go with --from.")
        lines = command.export_file(args.target, args.file, args.out)
    else:
        lines = command.import_file(
            args.source, args.file, args.out, _json(args.build), _class_names(args.classes),
            args.data,
        )  # fmt: skip
    print("\n".join([*lines, f"written  {args.out}"]))
    return 0


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
