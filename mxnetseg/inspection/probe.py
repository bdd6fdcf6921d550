"""A network that shows the map of each of its layers, for one image at a time."""

from typing import NamedTuple, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd

from ..errors import UsageError
from ..inference.logits import logits_of, read
from ..layers import blocks
from ..nn import Normalize
from ..registry import unknown


class Seen(NamedTuple):
    """What a network made of an image.

    Attributes:
        outputs: {name: NDArray (1, C, h, w)}, logits at the network's own resolution.
        layer: NDArray (1, C, h, w) of the layer that was asked for, or None.
        padded, size: (height, width) of the input and of the image in its upper left corner.
    """

    outputs: dict
    layer: object
    padded: Tuple[int, int]
    size: Tuple[int, int]

    def cells(self, values):
        """How many rows and columns of a map (..., h, w) belong to the image."""
        return tuple(
            max(1, -(-length * n // whole))
            for n, length, whole in zip(values.shape[-2:], self.size, self.padded)
        )


class Probe:
    """Runs a network eagerly, inference only, and keeps what a layer gives.

    The network is this object's alone from now on.

    Args:
        net: a SegmentationModel with parameters on ``context``.
        mean, std: normalisation of images on 0 ... 1.
    """

    def __init__(self, net, mean, std, context=None):
        self.net, self.context = net, context or mx.cpu()
        self.net.upsample_outputs = False
        self.net.main_only = False
        self.net.hybridize(False)
        self.normalize = Normalize(mean, std)
        self.normalize.initialize(ctx=self.context)
        self.blocks = blocks(net)

    def see(self, pixels, layer=None, gradients=False):
        """Run the network on an image.

        Args:
            pixels: (H, W, C), as ``read_image`` gives it.
            layer: an output's name, or the path of a block (``backbone.layer3``); with ``:K`` its
                K-th map, where it gives several.
            gradients: record, so that ``layer.grad`` is there after a backward pass from the
                outputs. What lies before the layer is not recorded.

        Raises:
            UsageError: no such layer, or it gives no map, or several.
        """
        x, padded = self.load(pixels)
        mode = autograd.record if gradients else None
        return self.forward(x, padded, pixels.shape[:2], layer, mode, attach=gradients)

    def forward(self, x, padded, size, layer=None, mode=None, attach=False):
        """Run the network on an input that :meth:`load` made.

        Args:
            mode: ``autograd.record``, or None for no gradients.
            attach: whether the layer gets a gradient; what lies before it then has none.
        """
        name, _, number = (layer or "").partition(":")
        block = self._block(name) if layer and name not in self.net.output_names else None
        kept = []

        def keep(_, __, out):
            maps = list(_flat(out))
            if attach:
                for one in maps:
                    one.attach_grad()
            kept.extend(maps)

        handle = block.register_forward_hook(keep) if block is not None else None
        try:
            with mode(train_mode=False) if mode else autograd.pause():
                found = self.net(x)
                outputs = dict(zip(self.net.output_names, found))
                if layer and block is None:
                    if attach:
                        outputs[name].attach_grad()
                    kept = [outputs[name]]
        finally:
            if handle is not None:
                handle.detach()
        return Seen(outputs, _choose(kept, layer, number) if layer else None, padded, size)

    def load(self, pixels):
        """An image as the network's input, padded, and (height, width) of that."""
        height, width = pixels.shape[:2]
        rows, columns = self.net.valid_size(height, width)
        if rows < height or columns < width:
            raise UsageError(
                f"{type(self.net).__name__} takes inputs of {rows}x{columns} only, not "
                f"{height}x{width}: resize the image."
            )
        x = self.normalize.load(pixels[None], self.context)
        if (rows, columns) != (height, width):
            margin = (0, 0, 0, 0, 0, rows - height, 0, columns - width)
            x = mx.nd.pad(x, mode="constant", constant_value=0, pad_width=margin)
        return x, (rows, columns)

    def upsampled(self, seen, name):
        """An output at the size of the image, float32 (C, H, W)."""
        values = read(seen.outputs[name])[0]
        logits = logits_of(values, seen.padded, seen.size, self.net.align_corners)
        return logits.strip(0, seen.size[0])

    def classes(self, seen, name="main"):
        """The class map of an output at the size of the image, uint8 (H, W)."""
        return self.upsampled(seen, name).argmax(axis=0).astype(np.uint8)

    def _block(self, name):
        if name not in self.blocks or not name:
            raise unknown("layer", name, [*self.net.output_names, *filter(None, self.blocks)])
        return self.blocks[name]


def _flat(out):
    if isinstance(out, (list, tuple)):
        for one in out:
            yield from _flat(one)
    else:
        yield out


def _choose(kept, layer, number):
    name = layer.partition(":")[0]
    if not kept:
        raise UsageError(f"Layer '{name}' does not run in inference.")
    if not number and len(kept) > 1:
        raise UsageError(f"Layer '{name}' gives {len(kept)} maps: choose one, as '{name}:0'.")
    if number and not (number.isdigit() and int(number) < len(kept)):
        raise UsageError(f"Layer '{name}' gives {len(kept)} maps, numbered from 0: not '{number}'.")
    chosen = kept[int(number or 0)]
    if chosen.ndim != 4:
        raise UsageError(f"Layer '{name}' gives values of shape {chosen.shape}, no map.")
    return chosen
