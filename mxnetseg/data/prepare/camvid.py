"""CamVid: the colour labels as label ids of the 11 classes."""

import os

from ...errors import MXNetSegError
from ...files import png
from .. import layout, masks, sources
from ..labels import describe

UNLABELLED = 11


def plan(plan):
    """CamVid: *_L.png in 32 colours -> images, labelsGray (0 .. 10, 11 = unlabelled), lists.

    The colours are grouped to the 11 classes; the result is the data set `camvid` at 960x720.
    """
    source = sources.find("camvid32", classes="grouped")
    info = describe(source.name, source.spec)
    stems = {}
    for split in ("train", "val", "test"):
        listing = layout.list_split(info, split, plan.root)
        if listing.layout is None or not listing.pairs:
            continue
        if listing.problems:
            raise listing.problems[0]
        stems[split] = []
        for pair in listing.pairs:
            stem = os.path.splitext(os.path.basename(pair.image))[0]
            stems[split].append(stem)
            plan.make(f"labelsGray/{stem}.png", _ids, pair.mask, info.labels[pair.form])
            plan.link(f"images/{stem}.png", pair.image)
        plan.list(f"{split}.txt", [f"{stem}.png {stem}.png" for stem in stems[split]])
    if not stems:
        raise MXNetSegError(
            f"{plan.root} holds no colour labels of CamVid.\n"
            f"{layout.expected_tree(info, plan.root)}"
        )
    plan.data = "camvid"


def _ids(path, form):
    mask = masks.to_classes(path, masks.read_labels(path, form), form)
    mask[mask == 255] = UNLABELLED
    return png(mask)
