"""ImageNet classifiers of other libraries: which backbone they are, and our names for theirs.

Only weights that give the same maps are taken. Where a library's network differs from ours, the
error says in what.
"""

from .. import backbones
from ..errors import UsageError
from . import guess, origins
from .shapes import bare

_LEAVES = {"gamma": "weight", "beta": "bias"}
_NORM = {"weight": "gamma", "bias": "beta"}
# the blocks of MobileNetV2 by stage: the first, how many, and how many layers stand before them
_MOBILENETV2 = ((1, 3, 3), (4, 3, 0), (7, 7, 0), (14, 4, 0))


def identify(system, shapes):
    """The backbone that a classifier's file belongs to.

    Args:
        system: a library, one of ``origins.LIBRARIES``.
        shapes: {name in the file: shape}.

    Returns:
        The backbone's name; {our name: name in the file}, without the classifier's own entries.

    Raises:
        UsageError: a network that no backbone here equals, with the reason.
    """
    origin = origins.get(system, origins.LIBRARIES)
    in_file = {bare(name): name for name in shapes}
    shapes = {name: shapes[full] for name, full in in_file.items()}
    try:
        family, found = origin.backbone(shapes) or (None, {})
    except UsageError:  # with a reason
        raise
    except (KeyError, IndexError, ValueError):  # parts that such networks do not have
        family, found = None, {}
    if family is None:
        raise UsageError(
            f"This is no classifier of {origin.TITLE} that is a backbone here ({origin.KNOWN})."
            + guess.hint(system, shapes)
        )
    name, own = matching(family, {ours: shapes[theirs] for ours, theirs in found.items()})
    if name is not None:
        return name, {k: in_file[found[k]] for k in own}
    raise UsageError(
        f"None of the backbones {', '.join(_family(family))} has the shapes of this file; "
        f"{origin.TITLE} makes networks of this family in more sizes than there are here."
    )


def library_names(system, backbone):
    """The names under which a library has a backbone's entries: the inverse of :func:`identify`.

    Args:
        system: a library, one of ``origins.WRITTEN``. backbone: a Backbone.

    Returns:
        The library's model; {our name: its name}, without its classifier, which backbones lack.

    Raises:
        UsageError: the library has no such network.
    """
    origin = origins.get(system, origins.WRITTEN)
    if backbone.name not in origin.MODELS:
        others = [origins.get(n) for n in origins.WRITTEN if n != system]
        elsewhere = [f"{o.TITLE} has it" for o in others if backbone.name in o.MODELS]
        raise UsageError(
            f"{origin.TITLE} has no network with the layout of the backbone '{backbone.name}', "
            f"only with those of {', '.join(origin.MODELS)}{''.join(f'; {e}' for e in elsewhere)}."
        )
    if backbone.norm == "group":
        raise UsageError(f"The backbone has group norms; {origin.TITLE}'s have batch norms.")
    own = backbone._collect_params_with_prefix()
    channels = next(p.shape[1] for p in own.values() if len(p.shape) == 4)
    if channels != 3:
        raise UsageError(
            f"The backbone takes images of {channels} channels; {origin.TITLE}'s take 3."
        )
    names = {}
    for name in own:
        path, _, leaf = name.rpartition(".")
        names[name] = f"{origin.their_path(backbone.name, path)}.{_LEAVES.get(leaf, leaf)}"
    return origin.MODELS[backbone.name], names


def matching(family, shapes):
    """The backbone of a family with all its entries, and no further blocks, among ``shapes``.

    Args:
        family: what its name starts with. shapes: {our name: shape}.

    Returns:
        Its name and the names of its entries; None and nothing if there is none.
    """
    blocks = {_block(k) for k in shapes}
    for name in _family(family):
        own = backbones.create(name)._collect_params_with_prefix()
        same = all(k in shapes and shapes[k] == tuple(p.shape) for k, p in own.items())
        if same and blocks - {""} <= {_block(k) for k in own}:
            return name, list(own)
    return None, []


def _family(family):
    return [n for n in backbones.names() if n.startswith(family) and not n.endswith("_semseg")]


def _block(name):
    """``layer1.0`` of ``layer1.0.conv1.weight``."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0].startswith("layer") else ""


def from_pytorch(shapes, rename):
    """{our name: PyTorch's}; ``rename`` maps a module's path, to None if it has no use here."""
    out = {}
    for name in shapes:
        path, _, leaf = name.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        ours = rename(path)
        if ours is not None:
            norm = f"{path}.running_mean" in shapes
            out[f"{ours}.{_NORM.get(leaf, leaf) if norm else leaf}"] = name
    return out


def mobilenetv2_block(number):
    """``layer2.0`` for MobileNetV2's 4th block, counted from 1; None behind the last."""
    for stage, (first, count, before) in enumerate(_MOBILENETV2, 1):
        if first <= number < first + count:
            return f"layer{stage}.{number - first + before}"
    return None


def mobilenetv2_number(stage, index):
    """4 for ``layer2`` and 0: the inverse of :func:`mobilenetv2_block`."""
    first, _, before = _MOBILENETV2[int(stage[-1]) - 1]
    return first + int(index) - before


def other_mobilenetv3(title):
    """The error for MobileNetV3 and EfficientNets that are not ours."""
    return UsageError(
        f"{title}'s MobileNetV3 and EfficientNets gate behind the activation, the MobileNetV3 "
        "here before it: the same weights would give other maps. Take the files of "
        "d-li14/mobilenetv3.pytorch with --from mlmsnet."
    )
