"""List the known data sets."""

HELP = "list the known data sets"
EXAMPLES = """examples:
  mxnetseg datasets
  mxnetseg datasets | grep -i city"""


def arguments(parser):
    pass


def run(args):
    from .. import data

    for name in data.names():
        info = data.info(name)
        print(f"{name:20s} {info.num_classes:4d} classes  {info.title}")
