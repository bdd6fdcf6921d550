"""What is shown of one image: its segmentation, outputs, boundaries, maps of a layer."""

import cv2
import numpy as np

from ..data.images import as_picture
from ..errors import UsageError
from ..inference.pictures import overlay
from ..palette import colorize
from . import gradcam, pictures
from .edges import class_edges

CHANNELS = 14  # maps of a layer that are shown unless somebody chooses


def segmentation(probe, about, pixels, name, output="main"):
    """The image, and the colours of the classes of an output, with a legend.

    Args:
        probe: Probe. about: Description. pixels: (H, W, C). name: of the image, for the title.
        output: "main" or an auxiliary one.
    """
    _has(probe, output)
    if output == "boundary":
        raise UsageError("The boundary output has no classes: use `mxnetseg inspect boundary`.")
    classes = probe.classes(probe.see(pixels), output)
    shown = [
        pictures.titled(as_picture(pixels), f"{name}, {classes.shape[1]} x {classes.shape[0]}"),
        pictures.titled(colorize(classes, about.palette, about.void_color), f"output {output}"),
    ]
    return pictures.with_legend(pictures.beside(shown), classes, about)


def boundary(probe, about, pixels, name, logits=False):
    """The image, and where the boundary output sees boundaries: sigma in 0 ... 1, or logits."""
    _has(probe, "boundary")
    values = probe.upsampled(probe.see(pixels), "boundary")[0]
    return pictures.beside(
        [pictures.titled(as_picture(pixels), name), _boundary(values, logits, titled=True)]
    )


def outputs(probe, about, pixels, name):
    """The image and all outputs: classes, boundaries, and how sure the main one is."""
    seen = probe.see(pixels)
    main = probe.upsampled(seen, "main")
    classes = main.argmax(axis=0).astype(np.uint8)
    image = as_picture(pixels)
    shown = [pictures.titled(image, name)]
    for output in seen.outputs:
        if output == "boundary":
            shown.append(_boundary(probe.upsampled(seen, output)[0], False, titled=True))
            continue
        own = classes if output == "main" else probe.classes(seen, output)
        title = f"output {output}"
        if output != "main":
            title += f": differs from main on {100 * (own != classes).mean():.1f} %"
        shown.append(pictures.titled(colorize(own, about.palette, about.void_color), title))
    main -= main.max(axis=0)
    sure = 1 / np.exp(main).sum(axis=0)
    title = f"largest soft-max of main, mean {sure.mean():.3f}"
    bar = pictures.with_bar(pictures.colored(sure, 0, 1), 0.0, 1.0)
    shown.append(pictures.titled(bar, title))
    over = overlay(image, classes, about.palette, about.classes, legend=False)
    shown.append(pictures.titled(over, "main over the image"))
    return pictures.with_legend(pictures.beside(shown, 2 if len(shown) < 5 else 3), classes, about)


def features(probe, about, pixels, name, layer, channels=None):
    """The maps of a layer: the length of all of them, and single ones.

    Args:
        layer: see :meth:`~mxnetseg.inspection.probe.Probe.see`.
        channels: which; by default those that differ most from place to place.
    """
    seen = probe.see(pixels, layer)
    values = seen.layer.asnumpy()[0]
    rows, columns = seen.cells(values)
    values = values[:, :rows, :columns]
    wrong = [c for c in channels or () if not 0 <= c < len(values)]
    if wrong:
        raise UsageError(f"'{layer}' has channels 0 to {len(values) - 1}, not {wrong[0]}.")
    if not channels:
        channels = np.argsort(-values.std(axis=(1, 2)), kind="stable")[:CHANNELS]
    image = as_picture(pixels)
    width = 320
    height = max(1, round(width * image.shape[0] / image.shape[1]))
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    shown = [pictures.titled(small, name, 13)]
    length = np.sqrt((values.astype(np.float64) ** 2).mean(axis=0))
    for title, one in (
        ("root of the mean square", length),
        *((f"channel {c}", values[c]) for c in channels),
    ):
        low, high = float(one.min()), float(one.max())
        tile = cv2.resize(
            pictures.colored(one, low, high), (width, height), interpolation=cv2.INTER_NEAREST
        )
        shown.append(pictures.titled(pictures.with_bar(tile, low, high), title, 13))
    shape = f"{len(values)} channels of {rows} x {columns}"
    return pictures.titled(pictures.beside(shown, 4), f"{layer}: {shape}", 20)


def heatmap(probe, about, pixels, name, layer, number):
    """The image beside the class's pixels, and the heat map over the image.

    Args:
        number: of the class.
    """
    values, classes = gradcam.heat(probe, pixels, layer, number)
    image, mask = as_picture(pixels), classes == number
    white = np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    what = about.classes[number]
    title = f"predicted as {what}: {100 * mask.mean():.1f} % of the image"
    over = pictures.with_bar(gradcam.overlay(image, values), 0.0, 1.0, "jet")
    return pictures.beside(
        [
            pictures.titled(image, name),
            pictures.titled(white, title),
            pictures.titled(over, f"Grad-CAM of {what} at {layer}"),
        ]
    )


def edges(mask, about, name):
    """A class map, and the classes at both sides of its boundaries."""
    found = class_edges(mask, about.num_classes)
    shown = [
        pictures.titled(colorize(mask, about.palette, about.void_color), name),
        pictures.titled(colorize(found, about.palette), "boundaries by class"),
    ]
    return pictures.with_legend(pictures.beside(shown), found, about)


def predicted_edges(probe, about, pixels, name):
    """:func:`edges` of what the main output predicts."""
    return edges(probe.classes(probe.see(pixels)), about, name)


def _has(probe, output):
    if output not in probe.net.output_names:
        has = ", ".join(probe.net.output_names)
        raise UsageError(f"This {type(probe.net).__name__} has no output '{output}', but {has}.")


def _boundary(values, logits, titled):
    if logits:
        title, low, high = "boundary output, logits", float(values.min()), float(values.max())
    else:
        values = 1 / (1 + np.exp(-values))
        title, low, high = "boundary output, sigmoid", 0.0, 1.0
    return pictures.titled(pictures.with_bar(pictures.colored(values, low, high), low, high), title)
