"""Mean, standard deviation, class frequencies and class weights of a data set."""

import json

from . import arguments as shared

HELP = "mean, standard deviation, class frequencies and weights of a data set"
EXAMPLES = """examples:
  mxnetseg stats --data mydata
  mxnetseg stats --data camvid --data-root CamVid --split val --json"""


def arguments(parser):
    shared.data(parser, split="the training split")
    shared.experiment(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--no-cache", action="store_true", help="read every file again")


def run(args):
    from .. import data, progress

    section = shared.data_section(args)
    split = args.split or section.train_split
    dataset = data.create(section.name, split, section.root, **section.options)
    over = progress.over("measuring")
    found = data.stats.measure(dataset, progress=over, cache=not args.no_cache)
    print(json.dumps(found.as_dict(), indent=1) if args.json else found.as_text())
    return 0
