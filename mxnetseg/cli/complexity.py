"""What a network costs: parameters, multiply-adds, activations and memory of every layer."""

import json

from . import arguments as shared
from . import networks

HELP = "parameters, multiply-adds, activations and memory of a network, layer by layer"
EXAMPLES = """examples:
  mxnetseg complexity pidnet_s
  mxnetseg complexity bisenet --backbone resnet18 --size 713 --depth 2
  mxnetseg complexity pidnet_s sanet_s pmsdsen --json"""


def arguments(parser):
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="a network or a checkpoint; several: their sums"
    )
    networks.arguments(parser)
    networks.size_argument(parser)
    parser.add_argument("--batch", type=shared.positive, default=1, help="images")
    parser.add_argument("--all-outputs", action="store_true", help="the auxiliary outputs too")
    parser.add_argument(
        "--depth", type=shared.positive, metavar="N", help="add up what lies deeper"
    )
    parser.add_argument("--json", action="store_true", help="for programs")


def run(args):
    from .. import complexity

    found = [networks.find(name, args) for name in args.models]
    height, width = networks.size(args, *(n.net for n in found))
    outputs = None if args.all_outputs else 1
    costs = [complexity.measure(n.net, height, width, args.batch, outputs) for n in found]
    titles = [n.title for n in found]
    if args.json:
        rows = [{"network": t, **c.grouped(args.depth).as_dict()} for t, c in zip(titles, costs)]
        print(json.dumps(rows[0] if len(rows) == 1 else rows, indent=1))
    elif len(costs) == 1:
        print(complexity.as_text(titles[0], costs[0].grouped(args.depth)))
    else:
        print(complexity.as_text_of_several(titles, costs))
