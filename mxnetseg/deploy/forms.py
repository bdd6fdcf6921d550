"""What an exported file takes and gives: the network with its surroundings.

========  ===============================================  ======================================
form      takes                                            gives
========  ===============================================  ======================================
logits    image: float32 (N, C, H, W), normalised,         logits: float32 (N, classes, H, W)
          of a size that the network takes
scores    pixels: uint8 (N, H, W, 3), RGB, of any size     scores: float32 (N, classes, H, W), the
                                                           soft-max
classes   pixels: the same                                 classes: uint8 (N, H, W)
========  ===============================================  ======================================

Pixels of data sets with other channels or more bits are float32, 255 where uint8 would have it.
Images that the network cannot take are padded with the mean colour inside, right and below, as our
predictor does it. In every form the tensors ``network_image`` and ``network_logits`` are what the
network alone takes and gives, for who wants to cut the file there, as our runtimes do.
"""

from ..errors import UsageError
from ..inference.onnxfile import seal
from ..nn.normalize import scale_and_shift
from . import about
from .builder import Builder, Value
from .operators import resize
from .walk import add_network


def build(net, description, form="logits", size=None, opset=17, channels_last=True, more=None):
    """The ONNX model of a network.

    Args:
        net: a SegmentationModel with parameters.
        description: Description of the data that it was trained on.
        form: one of ``about.FORMS``.
        size: (height, width) of the only images that it shall take. None: as the network.
        channels_last: how scores are upsampled before the arg-max: ONNX Runtime takes two thirds of
            the time with the channels last, OpenVINO three times as long.
        more: further metadata, as JSON.

    Raises:
        UsageError: the network cannot take ``size``; too many classes for a byte.
        MXNetSegError: an operator has no conversion; the parameters exceed the format's 2 GB.
    """
    if form == "classes" and net.num_classes > 256:
        raise UsageError(
            f"A label map of bytes cannot hold {net.num_classes} classes; export the form scores."
        )
    rules = about.rules(net, description, form, size)
    builder = Builder(opset)
    builder.reserve(about.IMAGE, about.LOGITS, form)
    given = _input(builder, rules["input"])
    image = given if form == "logits" else _prepared(builder, given, net, description)
    image = builder.name(image, about.IMAGE)
    network = builder.name(add_network(builder, net, image), about.LOGITS)
    if form == "classes":
        output = _classes(builder, net, given, image, network, channels_last)
    elif form == "scores":
        output = _scores(builder, net, given, image, network)
    else:
        output = _logits(builder, net, image, network)
    builder.name(Value(output, ()), form)
    model = builder.model(
        inputs=[_described(rules["input"], rules["input"], rules["input"]["channels"])],
        outputs=[_described(rules["output"], rules["input"], net.num_classes)],
        metadata=about.metadata(net, description, rules, more or {}),
        prose=about.prose(net, description, rules),
    )
    seal(model)
    return model


def _described(tensor, rule, channels):
    """(name, type, sizes) of an input or output; words for sizes that vary."""
    height, width = rule["fixed_size"] or ("height", "width")
    dims = {"N": "batch", "C": channels, "H": height, "W": width}
    return tensor["name"], tensor["dtype"], [dims[k] for k in tensor["layout"]]


def _input(b, rule):
    height, width = rule["fixed_size"] or (None, None)
    dims = {"N": None, "C": rule["channels"], "H": height, "W": width}
    return Value(b.unique(rule["name"]), tuple(dims[k] for k in rule["layout"]), rule["dtype"])


# --- before the network ------------------------------------------------------------------------


def _prepared(b, pixels, net, description):
    """Pixels (N, H, W, C) -> images (N, C, H, W) as the network takes them; see ``Normalize``."""
    scale, shift = scale_and_shift(description.mean, description.std)
    x = b.cast(b.add("Transpose", pixels, perm=[0, 3, 1, 2]), "float32")
    x = b.add("Add", b.add("Mul", x, b.constant(scale)), b.constant(shift))
    n, h, w, c = pixels.dims
    return _padded(b, Value(x, (n, c, h, w)), net)


def _padded(b, x, net):
    """Images, zeros right and below up to a size that the network takes."""
    height, width = x.dims[2:]
    if not _pads(net, height, width):
        return x
    if height is not None:
        sizes = net.valid_size(height, width)
        pads = b.integers(0, 0, 0, 0, 0, 0, sizes[0] - height, sizes[1] - width)
    else:
        sizes = (None, None)
        missing = [b.add("Sub", _valid(b, n, net), n) for n in (b.size(x, 2), b.size(x, 3))]
        pads = b.shape(0, 0, 0, 0, 0, 0, *missing)
    return Value(b.add("Pad", x, pads, b.scalar(0), mode="constant"), (*x.dims[:2], *sizes))


def _pads(net, height, width):
    """Whether images of a size, None if it varies, have to be padded."""
    if height is None:
        return not net.size_divisor == net.min_size == 1
    return net.valid_size(height, width) != (height, width)


def _valid(b, n, net):
    """``net.valid_size`` along an axis; int64 (1,)."""
    n = b.add("Max", n, b.integers(net.min_size))
    n = b.add("Sub", n, b.integers(net.size_remainder))
    n = b.add("Mul", b.ratio(n, net.size_divisor, up=True), b.integers(net.size_divisor))
    return b.add("Add", n, b.integers(net.size_remainder))


# --- behind the network ------------------------------------------------------------------------


def _logits(b, net, image, network):
    sizes = [b.size(image, axis) for axis in (2, 3)]
    return resize(b, network, sizes, net.align_corners)


def _scores(b, net, pixels, image, network):
    logits = _logits(b, net, image, network)
    return b.add("Softmax", _cropped(b, net, logits, (2, 3), pixels), axis=1)


def _classes(b, net, pixels, image, network, channels_last):
    sizes, axis = [b.size(image, k) for k in (2, 3)], 1
    if channels_last:
        n, c, h, w = network.dims
        moved = b.add("Transpose", network, perm=[0, 2, 3, 1])
        network, axis = Value(moved, (n, h, w, c)), 3
    logits = resize(b, network, sizes, net.align_corners, channels_last)
    classes = b.cast(b.add("ArgMax", logits, axis=axis, keepdims=0), "uint8")
    return _cropped(b, net, classes, (1, 2), pixels)


def _cropped(b, net, x, axes, pixels):
    """Without what belongs to the padding of the image, not to the pixels."""
    if not _pads(net, *pixels.dims[1:3]):
        return x
    ends = b.shape(b.size(pixels, 1), b.size(pixels, 2))
    return b.add("Slice", x, b.integers(0, 0), ends, b.integers(*axes))
