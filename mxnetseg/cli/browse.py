"""Pictures of images with their masks, raw or as training sees them."""

from . import arguments as shared
from . import places

HELP = "pictures of images with their masks"
EXAMPLES = """examples:
  mxnetseg browse mydata
  mxnetseg browse camvid --data-root CamVid --augmented --crop 320"""


def arguments(parser):
    shared.data(parser, "dataset", "the training split")
    shared.experiment(parser)
    shared.out(parser)
    parser.add_argument("--augmented", action="store_true", help="as training sees them")
    parser.add_argument("--count", type=int, default=12, help="pictures in all")
    parser.add_argument("--columns", type=int, default=3, help="pictures side by side")
    parser.add_argument("--cell", type=int, default=320, help="width of a picture in pixels")
    augmented = parser.add_argument_group("with --augmented")
    augmented.add_argument("--epoch", type=int, default=0, help="whose random choices")
    augmented.add_argument("--preset", choices=("mxnetseg", "semseg", "sanet", "pmsdsen"))
    shared.sizes(augmented)
    augmented.add_argument("--seed", type=int, help="of the random choices")


def run(args):
    from .. import build, config, data, files

    section = shared.data_section(args)
    experiment = config.build(shared.flags(args), file=args.config)
    experiment.data = section
    split = args.split or section.train_split
    dataset = build.dataset(experiment, split)
    transform = None
    if args.augmented:
        net = build.create_network(experiment.model, dataset.info.num_classes)
        experiment = build.with_sizes(experiment, dataset, net)
        transform = build.transform(experiment, dataset.info)
    out = places.out(args, "browse")
    pages = data.browse.sheets(
        dataset, args.count, args.columns, args.cell, transform, experiment.train.seed, args.epoch
    )
    stem = f"{dataset.info.name}_{split}{'_augmented' if args.augmented else ''}"
    for number, page in enumerate(pages, 1):
        path = out / f"{stem}_{number:02d}.png"
        files.write(path, files.png(page))
        print(path)
    return 0
