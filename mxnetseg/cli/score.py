"""Score label maps without a network, convert them, add up shared evaluations."""

from ..columns import counted
from ..errors import UsageError
from . import arguments as shared
from . import places

HELP = "score label maps against the truth, without a network"
EXAMPLES = """examples:
  mxnetseg score exp/result/gray --data cityscapes --data-root datasets/Cityscapes
  mxnetseg score predictions --data cityscapes --to submission
  mxnetseg score --merge part0 part1 part2 -o whole"""


def arguments(parser):
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="of label maps (PNG)")
    shared.out(parser)
    shared.data(parser, split="val")
    shared.settings(parser, "data.options.KEY=VALUE")
    shared.metrics(parser)
    shared.index(parser)
    parser.add_argument(
        "--values",
        choices=("classes", "raw", "color"),
        help="what the maps hold: class indices, label values of the data set's files, colours; "
        "default: told from them",
    )
    parser.add_argument(
        "--to",
        choices=("color", "raw", "submission"),
        help="convert the folder instead: to colours, to label values, to what a server wants",
    )
    parser.add_argument(
        "--merge", action="store_true", help="the folders are results of --index: add them up"
    )


def run(args):
    from ..inference import results, scoring

    if args.merge:
        out = places.out(args, "score")
        result = scoring.merge(args.folders, out)
        if result["missing_images"]:
            print(f"{result['missing_images']} images of the split are in none of the folders")
    else:
        if len(args.folders) > 1:
            raise UsageError("One folder is scored at a time; --merge adds up results.")
        section = shared.data_section(args)
        if args.data is None:
            raise UsageError("Name the data set that the label maps are of: --data.")
        out = places.out(args, "score")
        if args.to:
            return _convert(args, section, out)
        result = _score(args, section, out)
    print(results.table(result))
    print(f"results: {out / 'results.json'}")
    return 0


def _score(args, section, out):
    from .. import data, metrics
    from ..inference import scoring

    split = args.split or "val"
    whole = data.create(section.name, split, section.root, **section.options)
    dataset = shared.part(args, whole)
    where = {
        "name": section.name, "root": section.root, "split": split, "options": section.options,
    }  # fmt: skip
    many = counted(len(dataset), "image")
    print(f"scoring {args.folders[0]} on {many} ({split}) -> {out}")
    measured = metrics.create(args.metrics, dataset, with_scores=False)
    result = scoring.score(
        args.folders[0], dataset, measured, out, args.values,
        described={"data": where, "order": None, "index": args.index},
    )  # fmt: skip
    if args.values is None:
        print(f"the maps hold {result['values']}")
    return result


def _convert(args, section, out):
    from .. import data
    from ..inference import scoring

    info = data.info(section.name, **section.options)
    values, count = scoring.convert(args.folders[0], info, out, args.to, args.values)
    where = out / ("submission.zip" if args.to == "submission" else args.to)
    print(f"{counted(count, 'map')} of {values} -> {where}")
    return 0
