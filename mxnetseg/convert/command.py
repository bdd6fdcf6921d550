"""Checkpoints of other code bases as ours, and ours in their names."""

import json
import re
from pathlib import Path

import mxnet as mx
import numpy as np

from .. import backbones, checkpoint, convert, data
from ..data.labels import IMAGENET_MEAN, IMAGENET_STD
from ..description import Description, unnamed
from ..errors import UsageError
from ..version import __version__
from . import classifiers, files, guess, origins


def import_file(system, path, out, build=None, classes=None, dataset=None):
    """Write a checkpoint of ours from somebody's file.

    A segmentation network becomes a checkpoint that evaluates and predicts; a classifier one for
    ``model.backbone_weights``.

    Args:
        system: one of ``origins.NAMES``.
        build: mapping of constructor facts in the original's words; the file shows most of them.
        classes: names, in order. dataset: name of a data set; gives names, colours, scales.

    Returns:
        The report, as lines of text.

    Raises:
        UsageError, MXNetSegError: not such a file; see ``convert.from_original``.
    """
    origins.get(system)
    if Path(out).suffix != ".params":
        raise UsageError(f"The result is a checkpoint: let {out} end in .params.")
    weights = files.read(path)
    origin = {"system": system, "file": Path(path).name, "sha256": weights.sha256}
    if weights.key:
        origin["key"] = weights.key
    lines = [f"read     {path}: {len(weights.state)} entries, SHA-256 {weights.sha256}"]
    if system in origins.LIBRARIES:
        if build or classes or dataset:
            raise UsageError(f"--build, --classes and --data have no meaning for {system}.")
        used = _import_backbone(system, weights, out, origin)
        lines.append(f"backbone {origin['backbone']}")
    else:
        used = _import_network(system, weights, out, build or {}, classes, dataset, origin, lines)
    unused = [name for name in weights.state if name not in used]
    lines.append(f"entries  {_listed(used, 'used', 0)}; {_listed(unused, 'unused')}; 0 missing")
    return lines


def _import_backbone(library, weights, out, origin):
    shapes = {name: tuple(value.shape) for name, value in weights.state.items()}
    origin["backbone"], names = classifiers.identify(library, shapes)
    values = {f"backbone.{ours}": weights.state[theirs] for ours, theirs in names.items()}
    _write_classifier(out, {k: _float(v) for k, v in values.items()}, origin)
    return list(names.values())


def _import_network(system, weights, out, build, classes, dataset, origin, lines):
    build, shown, assumed = guess.complete(system, build, weights.state)
    net = convert.from_original(system, build, weights.state)
    named = {k: v for k, v in build.items() if k not in shown}
    for what, options in (
        ("named", named),
        ("read from the file", shown),
        ("assumed, as no file shows it", assumed),
    ):
        if options:
            lines.append(f"build    {what}: {_options(options)}")
    origin["build"] = {**assumed, **build}
    ours = net.original_names[system]
    usual = convert.original_names(system, build, net)
    renamed = {k: v for k, v in ours.items() if v != usual[k]}
    if renamed:
        origin["names"] = renamed  # what a wrapper or an older version called them
    if not hasattr(net, "output_names"):
        if classes or dataset:
            raise UsageError("This is a classifier: --classes and --data have no meaning for it.")
        _write_classifier(out, _parameters(net), origin)
        lines.append("network  classifier, for model.backbone_weights")
        return list(ours.values())
    info, data_section = _info(system, net.num_classes, classes, dataset)
    more = {"experiment": {"data": data_section}} if data_section else {}
    meta = checkpoint.describe(net, info, origin=origin, **more)
    if meta["network"] is None:
        raise UsageError("This network cannot be described, so that no checkpoint can be written.")
    checkpoint.write(out, _parameters(net), meta)
    made = {k: v for k, v in net.created_with.items() if k not in ("name", "num_classes")}
    lines.append(f"network  {net.created_with['name']}: {_options(made)}")
    shown_classes = ", ".join(info.classes[:3]) + (" ..." if net.num_classes > 3 else "")
    named_by = dataset or ("as given" if classes else "names unknown: give --data or --classes")
    chosen = f", {_options(data_section['options'])}" if data_section.get("options") else ""
    lines.append(f"classes  {net.num_classes} ({shown_classes}; {named_by}{chosen})")
    return list(ours.values())


def export_file(system, path, out):
    """Write a checkpoint of ours as a file of the original's, with the original's names.

    Args:
        system: a code base; or one of ``origins.WRITTEN``, for the backbone alone.

    Returns:
        The report, as lines of text.

    Raises:
        UsageError: the network, or the backbone, is none of ``system``; another ending than those
            of ``convert.files``.
    """
    origins.get(system, (*origins.CODE_BASES, *origins.WRITTEN))
    if system in origins.WRITTEN:
        return _export_backbone(system, path, out)
    saved = checkpoint.read(path, any_network=True)
    origin = saved.meta.get("origin") or {}
    came_from_here = origin.get("system") == system
    if "network" in saved.meta:
        net = checkpoint.network(saved)
        _check_home(system, saved)
    elif came_from_here:
        net = convert.create(system, origin["build"])
        checkpoint.load_parameters(net, saved.parameters, source=saved.path)
    else:
        raise UsageError(
            f"{path} holds a classifier of {origin.get('system', 'unknown origin')}, which "
            f"{system} does not have."
        )
    build = origin["build"] if came_from_here else {}
    if came_from_here:
        names = {**convert.original_names(system, build, net), **origin.get("names", {})}
        net.original_names = {system: names}
    arrays = convert.to_original(system, build, net)
    files.write(out, arrays, origin.get("key") if came_from_here else None)
    return [f"entries  {len(arrays)} written in the names of {system}"]


def _export_backbone(library, path, out):
    saved = checkpoint.read(path, any_network=True)
    origin = saved.meta.get("origin") or {}
    if "network" in saved.meta:
        net, whose = checkpoint.network(saved), saved.meta["network"]["name"]
        backbone = net.backbone
    elif "backbone" in origin:
        whose, backbone = "the classifier", backbones.create(origin["backbone"])
    else:
        whose, backbone = "the classifier", None
    if backbone is None or backbone.name is None:
        raise UsageError(
            f"{path}: {whose} has no backbone that other networks share; {library} has those of "
            f"{', '.join(origins.get(library).MODELS)}."
        )
    model, names = classifiers.library_names(library, backbone)
    arrays = {
        theirs: saved.parameters[f"backbone.{ours}"].asnumpy().astype(np.float32, copy=False)
        for ours, theirs in names.items()
    }
    files.write(out, arrays)
    title, stride = origins.get(library).TITLE, backbone.output_stride
    rest = len(saved.parameters) - len(arrays)
    lines = [
        f"backbone {backbone.name} of {whose} -> {model} of {title}: {len(arrays)} entries",
        f"left out {rest} of the checkpoint's entries: what stands behind the backbone",
        f"missing  {title}'s own classifier: load_state_dict(..., strict=False), or a new one",
    ]
    if stride < 32:
        lines.append(f"note     trained with dilation, at output stride {stride}")
    return lines


def _check_home(system, saved):
    name, backbone = saved.meta["network"]["name"], saved.meta["network"].get("backbone") or ""
    homes = [home for home in origins.CODE_BASES if name in origins.get(home).HOMES]
    if system not in homes:
        whose = f"one of {homes[0]}" if homes else "of no other code base"
        raise UsageError(f"{saved.path} holds the network '{name}', which is {whose}.")
    if not re.fullmatch(origins.get(system).HOMES[name], backbone):
        raise UsageError(f"{system} has no '{name}' on the backbone '{backbone}'.")


def _info(system, num_classes, classes, dataset):
    """What a checkpoint says of its classes, and the section ``data`` of its experiment."""
    section = {}
    if dataset:
        info = data.info(dataset)
        options = _data_options(system, num_classes, info.spec.options)
        if options:
            section["options"] = options
            info = data.info(dataset, **options)
        section["name"] = dataset
        if info.num_classes != num_classes:
            raise UsageError(
                f"The file has {num_classes} classes, the data set '{dataset}' {info.num_classes}."
            )
        names, palette, scales = info.classes, info.palette, info.scales
    else:
        names = classes or unnamed(num_classes)
        palette, scales = data.voc_palette(num_classes, first=1), ()
    if classes:
        names = classes
    if len(names) != num_classes:
        raise UsageError(f"The file has {num_classes} classes, --classes {len(names)} names.")
    # all of these code bases train with ImageNet's mean and standard deviation
    return Description(
        name=dataset, classes=tuple(names), palette=palette, void_color=(0, 0, 0),
        mean=IMAGENET_MEAN, std=IMAGENET_STD, max_value=None, scales=tuple(scales),
    ), section  # fmt: skip


def _data_options(system, num_classes, known):
    """The options of a data set with which its classes are those of the code base."""
    options = {}
    sets = [str(value) for value in known.get("classes", ())]
    if str(num_classes) in sets:
        options["classes"] = num_classes
    theirs = origins.get(system).DATA_OPTIONS.get(num_classes, {})
    options.update({k: value for k, value in theirs.items() if value in known.get(k, ())})
    return options


def _write_classifier(out, arrays, origin):
    meta = {
        "format": 1,
        "version": __version__,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "origin": origin,
    }
    checkpoint.write(out, arrays, meta)


def _parameters(net):
    return {name: p.data() for name, p in net._collect_params_with_prefix().items()}


def _float(value):
    return mx.nd.array(np.asarray(value, np.float32))


def _options(options):
    return ", ".join(f"{k} {json.dumps(v)}" for k, v in options.items()) or "-"


def _listed(names, what, limit=3):
    if not names or not limit:
        return f"{len(names)} {what}"
    more = ", ..." if len(names) > limit else ""
    return f"{len(names)} {what} ({', '.join(names[:limit])}{more})"
