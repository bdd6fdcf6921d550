"""Describe this installation: versions, threads, GPUs, missing libraries."""

HELP = "describe this installation"
EXAMPLES = """examples:
  mxnetseg doctor
  mxnetseg doctor --debug"""


def arguments(parser):
    pass


def run(args):
    from .. import doctor

    lines, ok = doctor.describe()
    print("\n".join(lines))
    return 0 if ok else 1
