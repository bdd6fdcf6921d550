"""Describe this installation: versions, threads, GPUs, missing libraries; --try computes, too."""

HELP = "describe this installation"
EXAMPLES = """examples:
  mxnetseg doctor
  mxnetseg doctor --try"""


def arguments(parser):
    parser.add_argument(
        "--try",
        dest="attempt",
        action="store_true",
        help="a training step and an evaluation on each GPU, compared with the CPU",
    )


def run(args):
    from .. import doctor

    lines, ok = doctor.describe()
    print("\n".join(lines))
    if args.attempt:
        lines, right = doctor.attempt()
        print("\n".join(lines))
        ok = ok and right
    return 0 if ok else 1
