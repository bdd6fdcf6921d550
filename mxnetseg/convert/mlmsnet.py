"""Checkpoints of lih627/MLMSNet: its three networks, and MobileNetV3 with its ImageNet tail."""

import re

from .. import backbones, models
from ..backbones.mobilenetv3 import STAGES, MobileNetV3Classifier, round_channels
from ..errors import UsageError
from ..registry import unknown
from . import pytorch
from .shapes import Absent, named_network

TITLE = "MLMSNet"
# in its own files the stem is layer0; those of MobileNetV3's authors have squeeze units like these
SIGNS = ("layer0.0.0.weight", "features.1.conv.3.fc.0.weight", "features.4.conv.5.fc.0.weight")
HOMES = {
    "mlms_baseline": "mobilenetv3_large",
    "mlmsnet": "mobilenetv3_(large|small)",
    "mlmsnet_v2": "mobilenetv3_(large|small)",
}
DATA_OPTIONS = {11: {"classes": "grouped"}}  # CamVid


def _aux_fits(width_mult):
    """Whether the baseline's auxiliary head, made for floor(112 m) channels, fits to layer3.

    If not, the original can only be evaluated, and the head in its files is of no use.
    """
    return int(112 * width_mult) == round_channels(112 * width_mult)


def _baseline(
    mode="large",
    width_mult=1.0,
    classes=2,
    zoom_factor=8,
    dropout=0.1,
    atrous3=False,
    atrous4=False,
):
    if mode != "large":
        raise UsageError(f"BaselineNet of MLMSNet knows the mode 'large' only, not '{mode}'.")
    return models.create(
        "mlms_baseline",
        classes,
        backbones.create(
            "mobilenetv3_large", 8, width=width_mult, atrous3=atrous3, atrous4=atrous4
        ),
        initialize=False,
        aux=_aux_fits(width_mult),
        zoom_factor=zoom_factor,
        dropout=dropout,
    )


def _mlmsnet(name):
    def translate(
        mode="large",
        width_mult=1.0,
        classes=2,
        zoom_factor=8,
        dropout=0.1,
        use_msf=True,
        use_mlf=True,
        large=False,
    ):
        if mode not in ("large", "small"):
            raise unknown("mode of MLMSNet", mode, ("large", "small"))
        return models.create(
            name,
            classes,
            backbones.create(f"mobilenetv3_{mode}", 8, width=width_mult),
            initialize=False,
            variant="L" if large else "S",
            msf=use_msf,
            mlf=use_mlf,
            zoom_factor=zoom_factor,
            dropout=dropout,
        )

    return translate


def _classifier(mode):
    def translate(width_mult=1.0, num_classes=1000):
        return MobileNetV3Classifier(mode, num_classes, width_mult, output_stride=8)

    return translate


NETWORKS = {
    "BaselineNet": _baseline,
    "MLMSNet": _mlmsnet("mlmsnet"),
    "MLMSNetv2": _mlmsnet("mlmsnet_v2"),
    "mobilenetv3_large": _classifier("large"),
    "mobilenetv3_small": _classifier("small"),
}


def create(build):
    """Our network for the constructor facts of one of ``NETWORKS``."""
    return pytorch.create(TITLE, NETWORKS, build)


def original_names(net, build):
    """{our name: the original's}."""
    return pytorch.original_names(net)


def renamed(net, build, state):
    """ImageNet files number stem and blocks in one list: like the original, map by position."""
    if not isinstance(net, MobileNetV3Classifier) or "features.0.0.weight" not in state:
        return {}
    counters = pytorch.counters(state)
    theirs = [name for name in state if name not in counters]
    ours = list(original_names(net, build).values())
    if len(theirs) != len(ours):
        raise UsageError(
            f"This is not an ImageNet file of {build['network']}: it has {len(theirs)} entries, "
            f"the network {len(ours)}."
        )
    return dict(zip(theirs, ours))


def unused(build, names):
    """The counters; the baseline's auxiliary head where it does not fit (see above)."""
    out = pytorch.counters(names)
    if build["network"] == "BaselineNet" and not _aux_fits(build.get("width_mult", 1.0)):
        out |= {name for name in names if name.startswith("aux.")}
    return out


def guess(given, shapes):
    """See ``origins``."""
    network = named_network(given, NETWORKS, TITLE)
    numbered = "features.0.0.weight" in shapes  # an ImageNet file of the encoder's authors
    blocks = _blocks(shapes, numbered)
    mode = "large" if len(blocks) == 15 else "small"
    width = _width(mode, [shapes[name][0] for name in blocks])
    if numbered or "classifier.3.weight" in shapes:
        classes = shapes["classifier.3.weight"][0]
        name = network or f"mobilenetv3_{mode}"
        return {"network": name, "width_mult": width, "num_classes": classes}

    light = "cls.0.weight" not in shapes
    levels = _tapped(mode, shapes, blocks)
    if network is None:
        fused = shapes.has("msf0.") or shapes.has("mlf.")
        if light:
            network = "MLMSNetv2"
        elif fused or shapes["cls.0.weight"][1] != levels[-1]:
            network = "MLMSNet"
        else:
            network = "BaselineNet"
    shown = {
        "network": network,
        "mode": mode,
        "width_mult": width,
        "classes": shapes["cls.1.weight" if light else "cls.4.weight"][0],
    }
    if network != "BaselineNet":
        shown["use_msf"], shown["use_mlf"] = shapes.has("msf0."), shapes.has("mlf.")
        joined = shapes["cls.1.weight" if light else "cls.0.weight"][1]
        shown["large"] = joined == 2 * sum(levels)
    return shown


def _blocks(shapes, numbered):
    """The name of the last convolution of every block, in order."""
    block = r"features\.(\d+)" if numbered else r"layer([1-4]\.\d+)"
    pattern = re.compile(block + r"\.conv\.(\d+)\.weight$")
    last = {}
    for name, shape in shapes.items():
        match = pattern.match(name)
        if match and len(shape) == 4:
            index = int(match.group(2))
            block = tuple(map(int, match.group(1).split(".")))
            if index >= last.get(block, (0, ""))[0]:
                last[block] = (index, name)
    if len(last) not in (15, 11):
        raise Absent("layer1.0.conv.0.weight")
    return [last[block][1] for block in sorted(last)]


def _width(mode, channels):
    """The factor that gives the blocks their numbers of channels."""
    base = [block[2] for stage in STAGES[mode] for block in stage]
    usual = (1.0, 0.75, 0.5, 0.25, 0.35, 1.25, 1.5, 2.0)
    for width in (*usual, *(n / 100 for n in range(10, 401))):
        if [round_channels(c * width) for c in base] == channels:
            return width
    raise Absent("layer4.2.conv.7.weight")


def _tapped(mode, shapes, blocks):
    """Channels of L2, L3 and L4."""
    ends, total = [], 0
    for stage in STAGES[mode]:
        total += len(stage)
        ends.append(shapes[blocks[total - 1]][0])
    return ends[1:]
