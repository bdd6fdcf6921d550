"""Losses over the whole batch, however it is split over devices: ``create`` one by name.

``docs/losses.md`` has the formulas.
"""

from ..errors import UsageError
from ..registry import check_options, unknown
from . import options as checked
from .base import Loss, Summand, Totals, registry
from .boundary import BoundaryAware
from .cross_entropy import OHEM, CrossEntropy, Focal
from .lovasz import Lovasz
from .regions import Dice, Tversky

__all__ = [
    "OHEM",
    "BoundaryAware",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Loss",
    "Lovasz",
    "Summand",
    "Totals",
    "Tversky",
    "create",
    "registry",
    "summands",
]


def summands(name, options=None):
    """What a loss consists of; needs no network and no data, so that it checks an experiment early.

    Args:
        name: of a loss; or [[name, weight], ...], the sum of weight x loss.
        options: of the loss; of a sum {name: {option: value}}.

    Returns:
        [Summand].

    Raises:
        UsageError: an unknown name or option, with near matches; a value out of range.
    """
    options = options or {}
    if isinstance(name, str):
        return [Summand(name, 1.0, _criterion(name, options))]
    names = [part[0] for part in name]
    for key, value in options.items():
        if key not in names:
            raise unknown("loss in loss.options, of a sum {loss: {option: value}}", key, names)
        if not isinstance(value, dict):
            raise UsageError(
                f"loss.options.{key} is a mapping {{option: value}} where several losses are "
                f"summed, not {value!r}."
            )
    if not names or len(set(names)) < len(names):
        raise UsageError("loss.name lists one or more losses, each of them once.")
    return [
        Summand(
            part,
            checked.number(part, "weight", weight, 0, ends=(False, True)),
            _criterion(part, options.get(part, {})),
        )
        for part, weight in name
    ]


def _criterion(name, options):
    factory = registry.get(name)
    check_options(f"loss '{name}'", factory, options)
    return factory(**options)


def create(name, net, output_weights=None, class_weights=None, per="batch", **options):
    """The loss called ``name`` for a network.

    Args:
        name: of a loss, or [[name, weight], ...] for a sum.
        net: a SegmentationModel; gives classes, outputs and the way they are enlarged.
        output_weights: of the outputs behind the main one; the network's own if None.
        class_weights: one number per class, or None.
        per: "batch", or "device": the mean of the devices' own losses.
        options: of the loss; of a sum {name: {option: value}}.

    Raises:
        UsageError: unknown name or option; not as many weights as auxiliary outputs.
    """
    parts = summands(name, options)
    if per not in ("batch", "device"):
        raise unknown("value of loss.per", per, ("batch", "device"))
    auxiliaries = len(net.output_names) - 1
    weights = net.aux_weights if output_weights is None else output_weights
    if output_weights is None and not auxiliaries:
        weights = ()
    if len(weights) != auxiliaries:
        raise UsageError(
            f"loss.aux_weights has {len(weights)} numbers, but the network has {auxiliaries} "
            f"auxiliary outputs ({', '.join(net.output_names[1:]) or 'none'})."
        )
    return Loss(
        net.num_classes,
        parts,
        net.output_names,
        (1.0, *weights),
        net.align_corners,
        class_weights,
        per,
    )
