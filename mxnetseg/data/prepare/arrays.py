"""Masks in .mat and text files as PNG with the same values, which load many times faster."""

import os

from ...errors import MXNetSegError
from ...files import png
from .. import layout, masks, sources
from ..labels import describe


def sbd(plan):
    """SBD: cls/*.mat -> cls/*.png."""
    _convert(plan, "sbd", "{folder}/cls/{stem}.png")


def cocostuff(plan):
    """COCO-Stuff 10K: annotations/*.mat -> annotations/*.png."""
    _convert(plan, "cocostuff", "{folder}/annotations/{stem}.png")


def siftflow(plan):
    """SIFT Flow: SemanticLabels/*/*.mat -> labels/*.png."""
    _convert(plan, "siftflow", "{folder}/labels/{stem}.png")


def stanford_background(plan):
    """Stanford Background: labels/*.regions.txt -> labels/*.png."""
    _convert(plan, "stanford_background", "{folder}/labels/{stem}.png")


_SOURCES = (".mat", ".txt")


def _convert(plan, name, target):
    """Every mask of the data set, all splits."""
    source = sources.find(name)
    # Only layouts with the masks to be converted: some may be converted already.
    layouts = [lay for lay in source.spec.layouts if lay.mask and lay.mask.endswith(_SOURCES)]
    info = describe(name, source.spec.model_copy(update={"layouts": layouts}))
    found = 0
    for split, facts in info.splits.items():
        if facts.concat:
            continue
        place = layout.find_layout(info, split, plan.root)
        if place is None:
            continue
        used, inside = place.layout, place.inside
        listing = layout.list_split(info, split, plan.root)
        if listing.problems and not listing.pairs:
            raise listing.problems[0]
        for pair in listing.pairs:
            found += 1
            stem = os.path.splitext(os.path.basename(pair.mask))[0]
            stem = stem[: -len(".regions")] if stem.endswith(".regions") else stem
            path = target.format(folder=inside or ".", stem=stem)
            plan.make(os.path.normpath(path), _convert_one, pair, info)
            plan.link(pair.name, pair.image)
        if used.list is not None and plan.out != plan.root:
            for text in [used.list] if isinstance(used.list, str) else used.list:
                text = os.path.join(
                    inside, text.replace("{split}", layout.split_folder(used, split))
                )
                if (plan.root / text).is_file():
                    plan.link(text, plan.root / text)
    if not found:
        raise MXNetSegError(
            f"{plan.root} holds no split of {info.title}.\n{layout.expected_tree(info, plan.root)}"
        )


def _convert_one(pair, info):
    labels = masks.read_labels(pair.mask, info.labels[pair.form])
    masks.to_classes(pair.mask, labels, info.labels[pair.form])  # unknown values: an error
    return png(labels)
