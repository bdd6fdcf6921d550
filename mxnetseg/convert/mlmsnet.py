"""Checkpoints of lih627/MLMSNet: its three networks, and MobileNetV3 with its ImageNet tail."""

from .. import backbones, models
from ..backbones.mobilenetv3 import MobileNetV3Classifier, round_channels
from ..errors import UsageError
from ..registry import unknown
from . import pytorch


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
    return pytorch.create("MLMSNet", NETWORKS, build)


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
