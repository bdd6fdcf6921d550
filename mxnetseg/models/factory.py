"""Networks by name."""

import inspect

from .. import backbones
from ..errors import UsageError
from ..nn import use_norm
from ..registry import check_options
from .base import find
from .channels import set_image_channels
from .published import resolve


def create(
    name,
    num_classes,
    backbone=None,
    backbone_options=None,
    initialize=True,
    in_channels=3,
    norm="batch",
    **options,
):
    """A network by name, with random weights.

    Args:
        name: one of ``models.names()``, or of a published size: ``pidnet_m``, see
            ``models.PUBLISHED``.
        num_classes: channels of the logits.
        backbone: a name from ``backbones.names()`` or a Backbone; the network's own default if
            None.
        backbone_options: mapping, what the backbone called by name takes besides the stride.
        initialize: False leaves the parameters empty, for somebody who loads a checkpoint next.
        in_channels: of the images; the convolutions that see them are made for as many.
        norm: of network and backbone. "batch". "sync_batch": in training over the images of all
            devices, see ``nn.forward``; such a network has the parameters of one with "batch", and
            ``created_with`` makes that one. "group": group norm, which does not depend on the
            batch, with parameters of its own.
        options: ``output_stride``, ``aux`` ... as the network takes them.

    Raises:
        UsageError: unknown names or options, with near matches; impossible values.
    """
    if backbone is not None:
        options["backbone"] = backbone
    if backbone_options:
        options["backbone_options"] = dict(backbone_options)
    name, options = resolve(name, options)
    network = find(name)
    if not isinstance(num_classes, int) or num_classes < 1:
        raise UsageError(f"num_classes must be a positive whole number, not {num_classes!r}.")
    backbone, backbone_options = options.pop("backbone", None), options.pop("backbone_options", {})
    created_with = {"name": name, "num_classes": num_classes, **options}
    with use_norm(norm):
        if takes_backbone(network):
            stride = options.pop("output_stride", None)
            if not isinstance(backbone, backbones.Backbone):
                backbone = backbone or network.default_backbone
                backbone = _create_backbone(name, network, backbone, stride, backbone_options)
            _check_backbone(name, network, backbone, norm)
            options["backbone"] = backbone
            created_with = _with_backbone(created_with, backbone)
        elif backbone is not None:
            raise UsageError(f"Network '{name}' has a trunk of its own and takes no backbone.")
        check_options(f"network '{name}'", network, options, exclude=("num_classes",))
        net = network(num_classes=num_classes, **options)
    if norm == "group":
        net.min_batch = 1  # an image is normalised by itself
    if in_channels != 3:
        set_image_channels(net, in_channels)
    if created_with is not None:
        if in_channels != 3:
            created_with["in_channels"] = in_channels
        if norm == "group":
            created_with["norm"] = norm
    net.created_with = created_with
    if initialize:
        net.initialize()
    return net


def is_called(created_with, name):
    """Whether a network made of ``created_with`` (see ``SegmentationModel``) is one of ``name``."""
    network, own = resolve(name)
    if created_with["name"] != network:
        return False
    parameters = inspect.signature(find(network)).parameters
    defaults = {k: p.default for k, p in parameters.items()}
    has = {**defaults, **created_with}
    return all(str(has.get(k)).lower() == str(v).lower() for k, v in own.items())


def takes_backbone(network):
    """Whether the backbone of a network, given by its class, can be chosen."""
    return "backbone" in inspect.signature(network).parameters


def dilates(backbone):
    """Whether the backbone's output stride can be chosen."""
    factory = backbones.registry.get(backbone)
    return "output_stride" in inspect.signature(factory).parameters


def _create_backbone(name, network, backbone, stride, options):
    choice = dilates(backbone)
    if stride is None:
        stride = network.default_output_stride if choice else None
        return backbones.create(backbone, stride, **options)
    if stride not in network.output_strides:
        raise UsageError(
            f"Network '{name}' permits output_stride "
            f"{', '.join(map(str, sorted(network.output_strides)))}, not {stride}."
        )
    if choice:
        return backbones.create(backbone, stride, **options)
    backbone = backbones.create(backbone, **options)
    if stride != backbone.output_stride:
        raise UsageError(
            f"Backbone '{backbone.name}' has output_stride {backbone.output_stride} only, "
            f"not {stride}."
        )
    return backbone


def _check_backbone(name, network, backbone, norm):
    if backbone.output_stride not in network.output_strides:
        raise UsageError(
            f"Backbone '{backbone.name}' has output_stride {backbone.output_stride}, network "
            f"'{name}' permits {', '.join(map(str, sorted(network.output_strides)))}."
        )
    if backbone.norm != norm:
        raise UsageError(
            f"The backbone was made with norm '{backbone.norm}', the network is to have '{norm}'. "
            "Give the backbone's name instead, or make it with the same norm."
        )


def _with_backbone(created_with, backbone):
    """``created_with`` of a network on ``backbone``; None if the backbone has no name."""
    if backbone.name is None:
        return None
    made = {**created_with, "backbone": backbone.name, "backbone_options": backbone.options}
    made.pop("output_stride", None)
    if dilates(backbone.name):
        made["output_stride"] = backbone.output_stride
    return made
