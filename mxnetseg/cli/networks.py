"""Which network is meant, for verbs that look at networks: one by name, or a checkpoint's."""

import os
from typing import Any, NamedTuple, Optional

from ..errors import UsageError
from . import arguments as shared

DEFAULT_SIZE = (1024, 2048)  # Cityscapes, at which most costs are published


class Network(NamedTuple):
    """A network and what is known of it.

    Attributes:
        title: what to call it. net: SegmentationModel. saved: its Checkpoint; None: random weights,
            or none at all.
    """

    title: str
    net: Any
    saved: Optional[Any]


def arguments(parser):
    parser.add_argument("--backbone", help="of a network that is named; default: its own")
    parser.add_argument("--output-stride", type=int, choices=(8, 16, 32), help="of its backbone")
    parser.add_argument(
        "--classes", type=shared.positive, help="of a network that is named; default: 19"
    )
    shared.settings(parser, "model.KEY=VALUE")


def size_argument(
    parser, text="a side, or height and width; default: 1024 2048, or what the network takes"
):
    parser.add_argument("--size", nargs="+", type=shared.positive, metavar="PIXELS", help=text)


def find(what, args, initialize=False, contexts=None, integers=False):
    """The Network of a checkpoint's path, or of the name of a shipped one or of a network.

    Args:
        initialize: whether a network that is named gets random weights.
        integers: whether a checkpoint may be of ``quantize``; its network has no parameters.
    """
    from .. import build, checkpoint, config, shipped
    from ..models import PUBLISHED, names

    if os.path.isfile(what) or shipped.find(what):
        given = [k for k in ("backbone", "output_stride", "classes") if getattr(args, k)]
        if given or args.set:
            flag = f"--{given[0].replace('_', '-')}" if given else "--set"
            raise UsageError(f"{flag} is for networks that are named: {what} holds one already.")
        saved = checkpoint.read(what, integers=integers)
        network = saved.meta["network"]
        title = " ".join(v for v in (network["name"], network.get("backbone")) if v)
        bare = saved.in_integers
        net = checkpoint.bare(saved) if bare else checkpoint.network(saved, contexts)
        return Network(f"{title} of {what}", net, saved)
    if what.lower() not in (*names(), *PUBLISHED) and (os.sep in what or "." in what):
        raise UsageError(f"There is no checkpoint {what}.")
    section = shared.set_within(args, "model").get("model", {})
    model = config.parse({"model": {**section, "name": what}}).model
    for key in ("backbone", "output_stride"):
        if getattr(args, key) is not None:
            setattr(model, key, getattr(args, key))
    net = build.create_network(model, args.classes or 19, initialize=initialize)
    if initialize and contexts:
        net.collect_params().reset_ctx(contexts)
    title = " ".join(v for v in (what, net.backbone and net.backbone.name) if v)
    return Network(title, net, None)


def size(args, *nets, default=DEFAULT_SIZE):
    """(height, width) of --size, or the ``default`` rounded up to what all ``nets`` take."""
    if args.size:
        if len(args.size) > 2:
            raise UsageError("--size takes a side, or height and width.")
        return (args.size[0], args.size[-1])
    height, width = default
    for net in nets:
        height, width = net.valid_size(height, width)
    return height, width
