"""Facts about the networks, read off instances without weights: what ``mxnetseg models`` prints."""

import inspect
import sys

import numpy as np

from .. import backbones
from ..columns import aligned
from ..errors import UsageError
from . import base, factory
from .published import PUBLISHED, resolve

CLASSES = 19  # the published parameter counts are those for Cityscapes


def facts(name, backbone=None, num_classes=CLASSES):
    """What one network is and takes, with one backbone, as JSON.

    Keys:
        name, title: of the network or the published size. backbone: its name; None for a trunk
            of its own.
        output_stride, output_strides: the default and all that are permitted; None and [] for a
            trunk of its own.
        outputs: names of all outputs, those of the auxiliary heads included.
        aux: whether the auxiliary heads are there by default; None if that is no option.
        size_divisor, size_remainder, min_size, fixed_size, min_batch: see ``SegmentationModel``.
        parameters: counts of numbers. ``saved``: what a checkpoint without auxiliary heads holds,
            running statistics included, as MXNetSeg's README counts; ``trainable``: the same
            without the statistics; ``with_aux``: trainable, with the auxiliary heads.

    Raises:
        UsageError: the backbone does not fit.
    """
    network = _network(name)
    aux = inspect.signature(network).parameters.get("aux")

    def create(**options):
        return factory.create(name, num_classes, backbone, initialize=False, **options)

    full = create(aux=True) if aux else create()
    saved, trainable = _count(full, running=True), _count(full)
    if full.aux_head is not None:  # building a network without its heads takes longer
        saved -= _count(full.aux_head, running=True)
        trainable -= _count(full.aux_head)
    elif aux:
        plain = create(aux=False)
        saved, trainable = _count(plain, running=True), _count(plain)
    trunk = full.backbone if takes_backbone(name) else None
    return {
        "name": name,
        "title": _doc(sys.modules[network.__module__]).splitlines()[0],
        "backbone": trunk and trunk.name,
        "output_stride": trunk and trunk.output_stride,
        "output_strides": output_strides(name, trunk) if trunk else [],
        "outputs": list(full.output_names),
        "aux": aux and aux.default,
        "size_divisor": full.size_divisor,
        "size_remainder": full.size_remainder,
        "min_size": full.min_size,
        "fixed_size": full.fixed_size,
        "min_batch": full.min_batch,
        "parameters": {
            "saved": saved,
            "trainable": trainable,
            "with_aux": _count(full),
        },
    }


def table(backbone=None, num_classes=CLASSES):
    """The facts of every network with its default backbone, or of those that take ``backbone``."""
    names = [*base.names(), *PUBLISHED]
    if backbone is not None:
        backbones.registry.get(backbone)  # an unknown name is an error, not an empty table
        names = [n for n in names if takes_backbone(n)]
    rows = {}
    for name in names:
        network = resolve(name)[0]
        if rows.get(network) and factory.is_called({"name": network}, name):
            rows[name] = {**rows[network], "name": name}  # the network as it is by default
        else:
            rows[name] = _facts_or_none(name, backbone, num_classes)
    return [f for f in rows.values() if f]


def table_of(name, num_classes=CLASSES):
    """The facts of one network with each backbone that fits, its default first."""
    first = facts(name, None, num_classes)
    if first["backbone"] is None:
        return [first]
    others = [b for b in backbones.names() if b != first["backbone"]]
    found = [_facts_or_none(name, b, num_classes) for b in others]
    return [first, *(f for f in found if f)]


def takes_backbone(name):
    """Whether a network's backbone can be chosen."""
    return factory.takes_backbone(_network(name))


def output_strides(name, backbone):
    """The output strides that both a network and its backbone permit."""
    permitted = sorted(_network(name).output_strides)
    return permitted if factory.dilates(backbone.name) else [backbone.output_stride]


def input_rule(f):
    """The sizes that a network takes, in words."""
    if f["fixed_size"]:
        return "exactly {}x{}".format(*f["fixed_size"])
    rule = "any"
    if f["size_divisor"] > 1:
        rule = f"{f['size_divisor']}k" + (f"+{f['size_remainder']}" if f["size_remainder"] else "")
    return rule + (f" from {f['min_size']}" if f["min_size"] > f["size_divisor"] else "")


def as_text(rows):
    """The table of all networks."""
    head = ("network", "backbone", "stride", "input", "outputs", "saved", "trainable")
    lines = [
        (
            f["name"],
            f["backbone"] or "its own",
            "/".join(map(str, f["output_strides"])) or "-",
            input_rule(f),
            _outputs(f),
            _millions(f["parameters"]["saved"]),
            _millions(f["parameters"]["trainable"]),
        )
        for f in rows
    ]
    return "\n".join(
        [
            *aligned([head, *lines], right=2),
            "",
            "stride: the output strides to choose from. input: height and width (8k: multiples of "
            "8).\n(aux): auxiliary outputs, off by default. saved: parameters of a checkpoint "
            "without auxiliary\nheads, running statistics included; trainable: without these. "
            "`mxnetseg models NAME`: all\nbackbones and options of a network.",
        ]
    )


def as_text_of(rows):
    """One network, from :func:`table_of`."""
    f, network = rows[0], _network(rows[0]["name"])
    own = resolve(f["name"])[1]
    options = [
        f"{p.name}={own.get(p.name, p.default)!r}"
        for p in inspect.signature(network).parameters.values()
        if p.name not in ("num_classes", "backbone")
    ]
    text = [
        _doc(sys.modules[network.__module__]),
        "",
        _doc(network),
        "",
        f"name      {f['name']}",
        f"options   {', '.join(options) or 'none'}",
        f"input     {input_rule(f)}"
        + (f"; to train, {f['min_batch']} images per device" if f["min_batch"] > 1 else ""),
        f"outputs   {_outputs(f)}",
        "",
    ]
    head = ("backbone", "stride", "saved", "trainable", "and auxiliaries")
    lines = [
        (
            r["backbone"] or "its own",
            "/".join(map(str, r["output_strides"])) or "-",
            *(_millions(r["parameters"][k]) for k in ("saved", "trainable", "with_aux")),
        )
        for r in rows
    ]
    return "\n".join([*text, *aligned([head, *lines], right=3)])


def _network(name):
    """The class behind a name."""
    return base.find(resolve(name)[0])


def _facts_or_none(name, backbone, num_classes):
    try:
        return facts(name, backbone, num_classes)
    except UsageError:
        return None  # says that the backbone does not fit


def _count(block, running=False):
    # collect_params() searches every list of every block first, which takes longer than the rest
    parameters = block._collect_params_with_prefix().values()
    return sum(int(np.prod(p.shape)) for p in parameters if running or p.grad_req != "null")


def _outputs(f):
    main, *others = f["outputs"]
    text = " ".join(others)
    return f"{main} ({text})" if others and f["aux"] is False else f"{main} {text}".strip()


def _millions(count):
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e6:.2f}M"


def _doc(thing):
    return inspect.cleandoc(thing.__doc__ or "").strip()
