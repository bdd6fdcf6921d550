"""From the model section of an experiment to a network."""

import inspect

from .. import models
from ..models.base import registry


def network_options(model, num_classes):
    """The arguments of ``models.create`` for a model section, as JSON; defaults made explicit."""
    network = registry.get(model.name)
    options = {"name": model.name, "num_classes": num_classes, **model.options}
    backbone = model.backbone
    if backbone is None and "backbone" in inspect.signature(network).parameters:
        backbone = network.default_backbone
    chosen = {"backbone": backbone, "output_stride": model.output_stride, "aux": model.aux}
    options.update({k: v for k, v in chosen.items() if v is not None})
    return options


def create_network(options):
    """The network that :func:`network_options` describes, with random weights."""
    options = dict(options)
    return models.create(options.pop("name"), options.pop("num_classes"), **options)
