"""Losses over the whole batch, however it is split over devices: ``create`` one by name."""

from ..errors import UsageError
from ..registry import check_options
from .base import Loss, registry
from .boundary import BoundaryAware
from .cross_entropy import OHEM, CrossEntropy
from .pixels import IGNORE

__all__ = ["IGNORE", "OHEM", "BoundaryAware", "CrossEntropy", "Loss", "create", "registry"]


def create(name, net, output_weights=None, **options):
    """The loss called ``name`` for a network.

    Args:
        net: a SegmentationModel; gives classes, outputs and the way they are enlarged.
        output_weights: of the outputs behind the main one; the network's own if None.

    Raises:
        UsageError: unknown name or option; not as many weights as auxiliary outputs.
    """
    factory = registry.get(name)
    ours = ("num_classes", "output_weights", "align_corners", "boundaries")
    check_options(f"loss '{name}'", factory, options, exclude=ours)
    auxiliaries = len(net.output_names) - 1
    weights = net.aux_weights if output_weights is None else output_weights
    if output_weights is None and not auxiliaries:
        weights = ()
    if len(weights) != auxiliaries:
        raise UsageError(
            f"loss.aux_weights has {len(weights)} numbers, but the network has {auxiliaries} "
            f"auxiliary outputs ({', '.join(net.output_names[1:]) or 'none'})."
        )
    boundaries = [k for k, name in enumerate(net.output_names) if name == "boundary"]
    return factory(
        net.num_classes, (1.0, *weights), net.align_corners, boundaries=boundaries, **options
    )
