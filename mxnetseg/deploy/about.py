"""What an exported file says about itself: in JSON for programs, in a paragraph for people."""

import json

from .. import checkpoint
from ..inference.onnxfile import FORMAT

FORMS = ("logits", "scores", "classes")
IMAGE, LOGITS = "network_image", "network_logits"  # tensors between which the network is alone


def rules(net, description, form, size=None):
    """How a file of a form is used.

    Args:
        size: (height, width) of the only images that it shall take; None: as the network.

    Returns:
        JSON: ``file_format``, ``form``; ``input`` and ``output``: name, layout, dtype, and the
        sizes that the input may have; ``inner``: the tensors that the network alone reads and
        gives, and its own rules.

    Raises:
        UsageError: the network cannot take ``size``.
    """
    inner = {key: getattr(net, key) for key in ("size_divisor", "size_remainder", "min_size")}
    fixed = _fixed_size(net, form, size)
    if form == "logits":
        given = {"name": "image", "layout": "NCHW", "dtype": "float32", **inner}
    else:
        free = {"size_divisor": 1, "size_remainder": 0, "min_size": 1}
        given = {"name": "pixels", "layout": "NHWC", "dtype": pixel_type(description), **free}
    layout, dtype = ("NHW", "uint8") if form == "classes" else ("NCHW", "float32")
    seen = fixed and net.valid_size(*fixed)
    return {
        "file_format": FORMAT,
        "form": form,
        "input": {**given, "channels": net.in_channels, "fixed_size": _list(fixed)},
        "output": {"name": form, "layout": layout, "dtype": dtype},
        "inner": {
            "image": IMAGE,
            "logits": LOGITS,
            "align_corners": net.align_corners,
            **inner,
            "fixed_size": _list(seen),
        },
    }


def pixel_type(description):
    """NumPy's name of the type of pixels."""
    return "uint8" if description.channels == 3 and description.max_value is None else "float32"


def _fixed_size(net, form, size):
    if size is None:
        return net.fixed_size
    valid = net.valid_size(*size)
    if form == "logits" or any(a < b for a, b in zip(valid, size)):
        net.check_size(*size)
    return tuple(size)


def _list(size):
    return None if size is None else list(size)


def metadata(net, description, rules, more):
    """{key: JSON} for the file: what a checkpoint says, :func:`rules`, and ``more`` entries."""
    entries = {**checkpoint.describe(net, description), **more, **rules}
    return {key: json.dumps(value) for key, value in entries.items()}


def prose(net, description, rules):
    """A paragraph that tells how to use the file."""
    given, name = rules["input"], net.created_with["name"]
    count, colors = net.num_classes, "RGB, " if given["channels"] == 3 else ""
    if rules["form"] == "logits":
        takes = (
            f"'image': float32 (N, {given['channels']}, H, W), {colors}pixels / 255, less the mean "
            f"{_numbers(description.mean)}, divided by {_numbers(description.std)}"
        )
    else:
        takes = f"'pixels': {given['dtype']} (N, H, W, {given['channels']}), {colors}0 to 255"
    gives = {
        "logits": f"'logits': float32 (N, {count}, H, W)",
        "scores": f"'scores': float32 (N, {count}, H, W), probabilities of the classes",
        "classes": "'classes': uint8 (N, H, W), the index of each pixel's class",
    }[rules["form"]]
    return (
        f"Semantic segmentation by {name}, {count} classes. Takes {takes}; {_sizes(given)}. Gives "
        f"{gives}. The metadata hold names and colours of the classes as JSON (classes, palette)."
    )


def _sizes(given):
    if given["fixed_size"]:
        return "H and W are {} and {}".format(*given["fixed_size"])
    if given["size_divisor"] == given["min_size"] == 1:
        return "any H and W"
    plus = f" plus {given['size_remainder']}" if given["size_remainder"] else ""
    return f"H and W are multiples of {given['size_divisor']}{plus}, at least {given['min_size']}"


def _numbers(values):
    return "(" + ", ".join(f"{v:g}" for v in values) + ")"
