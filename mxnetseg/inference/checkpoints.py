"""The backend of a checkpoint: float32, or 8-bit integers of ``mxnetseg quantize -o X.params``.

A file in integers is a checkpoint whose ``meta`` says ``"precision": "int8"``. Its arrays are

* ``graph:json``: MXNet's symbol of the network, in which oneDNN's operators for integers stand;
* what that reads, under its own names; a weight of type int8 is multiplied by ``scale:<name>``;
* ``probe:image`` and ``probe:logits``: an image, and the answer of the machine that wrote the file.

Integers overflow on some processors and not on others, and MXNet says nothing. So a file is used
only where its probe gets the answer that it got before.
"""

import json

import mxnet as mx
import numpy as np
from mxnet import gluon

from .. import checkpoint, runtime
from ..errors import MXNetSegError, UsageError
from .backend import MXNetBackend

GRAPH, IMAGE, LOGITS, SCALE = "graph:json", "probe:image", "probe:logits", "scale:"
TOLERANCE = 0.05
"""How far the probe's logits may be off, as a share of their standard deviation. A value that lies
between two integers falls to either side: processors differ by a hundredth; overflows make half."""


def of_checkpoint(saved, contexts):
    """The backend of a Checkpoint, on some devices."""
    if saved.in_integers:
        return IntegerBackend(saved, contexts)
    about = saved.description
    net = checkpoint.network(saved, contexts)
    return MXNetBackend(net, contexts, about.mean, about.std)


class IntegerBackend(MXNetBackend):
    """Runs a checkpoint that is in integers.

    Args:
        saved: Checkpoint. contexts: CPUs.
        checked: whether its probe is run first.

    Raises:
        UsageError: a device is no CPU, or this MXNet has no oneDNN.
        MXNetSegError: the file does not hold what it should, or the probe gets another answer.
    """

    def __init__(self, saved, contexts, checked=True):
        if not all(runtime.on_host(c) for c in contexts):
            raise UsageError(f"{saved.path} holds 8-bit integers for CPUs: give --ctx cpu.")
        if not mx.runtime.Features().is_enabled("MKLDNN"):
            raise UsageError(
                f"{saved.path} holds 8-bit integers, for which this MXNet lacks oneDNN. Give the "
                "checkpoint in float32."
            )
        about = saved.description
        super().__init__(checkpoint.bare(saved), contexts, about.mean, about.std, fuse=False)
        self.runtime["precision"] = "int8"
        self._saved = saved
        try:
            self._integers = mx.sym.load_json(saved.parameters[GRAPH].asnumpy().tobytes().decode())
            self._blocks(static=True)
        except (mx.MXNetError, KeyError, ValueError, AssertionError):
            raise MXNetSegError(
                f"{saved.path} cannot be used: its graph of integers does not fit this MXNet."
            ) from None
        if checked:
            self._check_probe()

    def _graph(self, static, fused):
        with self._lock:
            if (static, fused) not in self._graphs:
                self._graphs[static, fused] = self._blocks(static)
            return self._graphs[static, fused]

    def _blocks(self, static):
        block = gluon.SymbolBlock(self._integers, [self._data])
        for name, parameter in block.collect_params().items():
            parameter._load_init(decoded(self._saved.parameters, name), self.contexts)
        block.hybridize(static_alloc=static, static_shape=static)
        return block

    def _check_probe(self):
        arrays = self._saved.parameters
        image, wanted = arrays[IMAGE].asnumpy(), arrays[LOGITS].asnumpy()
        try:
            found = self(image[None]).asnumpy()
        except mx.MXNetError as error:
            raise MXNetSegError(
                f"MXNet cannot run {self._saved.path} here: {str(error).splitlines()[0]}"
            ) from None
        error = share(found, wanted)
        if not error <= TOLERANCE:
            raise MXNetSegError(
                f"{self._saved.path} gives other results on this processor than where it was "
                f"written: they differ by {error:.2g} of the logits' standard deviation. Write it "
                "here with `mxnetseg quantize`, or use the checkpoint in float32."
            )


def share(found, wanted):
    """Root of the mean squared difference, as a share of the wanted values' standard deviation."""
    if found.shape != wanted.shape:
        return float("inf")
    return float(np.sqrt(np.mean(np.square(found - wanted))) / max(wanted.std(), 1e-12))


def probe(channels, height, width):
    """Blotches of colour: an image of a size, (height, width, channels), to look at results."""
    rng = np.random.RandomState(0)
    small = rng.randint(0, 256, (height // 12 + 1, width // 12 + 1, channels))
    image = small.repeat(12, axis=0).repeat(12, axis=1)[:height, :width]
    image = image + rng.randint(-20, 21, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8 if channels == 3 else np.float32)


def encoded(graph, arrays):
    """What a file holds: the arrays that a graph reads, weights of integers in a byte each.

    oneDNN makes the weights integers itself, a scale for each output channel. Those of a weight
    that was rounded to such integers before are the same.

    Args:
        graph: the Symbol. arrays: {name: float32 NDArray}, all that it reads but the images.
    """
    nodes = json.loads(graph.tojson())["nodes"]
    readers = {}
    for node in nodes:
        for place, (number, *_) in enumerate(node["inputs"]):
            readers.setdefault(nodes[number]["name"], []).append((node, place))
    found = {GRAPH: mx.nd.array(np.frombuffer(graph.tojson().encode(), np.uint8), dtype="uint8")}
    for name, value in arrays.items():
        if readers.get(name) and all(_rounds(node, place) for node, place in readers[name]):
            value = value.asnumpy()
            scale = np.abs(value).max(axis=(1, 2, 3), keepdims=True) / np.float32(127)
            scale[scale == 0] = 1
            found[SCALE + name] = mx.nd.array(scale)
            value = mx.nd.array(np.rint(value / scale), dtype="int8")
        found[name] = value
    return found


def _rounds(node, place):
    """Whether an operator makes integers of its input at a place, which is a weight."""
    attributes = node.get("attrs", {})
    return (
        node["op"] == "_sg_mkldnn_conv"
        and place == 1
        and attributes.get("quantized", "").lower() in ("true", "1")
    )


def decoded(arrays, name):
    """The array that a graph reads, of those in a file."""
    value = arrays[name]
    return value.astype("float32") * arrays[SCALE + name] if SCALE + name in arrays else value
