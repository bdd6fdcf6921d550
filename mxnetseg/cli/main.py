"""The verbs, their parser, and what becomes of errors.

Exit codes: 0 fine, 1 the work failed, 2 wrong use; 130 and 143 after SIGINT and SIGTERM. Errors are
one or two sentences. A verb is a module with ``HELP``, ``EXAMPLES``, ``arguments(parser)`` and
``run(args)``; it imports what it works with in ``run``, so that ``--help`` is there at once.
"""

import importlib
import os
import sys

from ..errors import MXNetSegError
from ..registry import unknown
from ..version import __version__
from .arguments import Parser

VERBS = (
    "train",
    "launch",
    "eval",
    "score",
    "predict",
    "report",
    "runs",
    "convert",
    "export",
    "quantize",
    "check",
    "stats",
    "browse",
    "prepare",
    "datasets",
    "models",
    "complexity",
    "speed",
    "inspect",
    "doctor",
)


def main(argv=None):
    """Run a verb; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in argv
    try:
        if argv and not argv[0].startswith("-") and argv[0] not in VERBS:
            raise unknown("command", argv[0], VERBS)
        parser = build_parser()
        args = parser.parse_args(argv)
        if args.verb is None:
            parser.print_help()
            return 2
        return args.run(args) or 0
    except MXNetSegError as error:
        if debug:
            raise
        print(f"mxnetseg: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("mxnetseg: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away: `mxnetseg models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        print(f"mxnetseg: {type(error).__name__}: {reason} (--debug shows where)", file=sys.stderr)
        return 1


def build_parser():
    parser = Parser(prog="mxnetseg", description="Semantic segmentation on MXNet.")
    parser.add_argument("--version", action="version", version=f"mxnetseg {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="<verb>")
    for name in VERBS:
        verb = importlib.import_module(f"{__package__}.{name}")
        own = verbs.add_parser(name, help=verb.HELP, description=verb.__doc__, epilog=verb.EXAMPLES)
        verb.arguments(own)
        own.add_argument("--debug", action="store_true", help="show where an error comes from")
        own.set_defaults(run=verb.run)
    return parser
