"""The backend of a checkpoint: float32, or 8-bit integers of ``mxnetseg quantize -o X.params``.

A file in integers is a checkpoint whose ``meta`` says ``"precision": "int8"``. Its arrays are

* ``graph:json``: MXNet's symbol of the network, in which oneDNN's operators for integers stand;
* what that reads, under its own names;
* ``probe:image`` and ``probe:logits``: an image, and the answer of the machine that wrote the file.

Integers overflow on some processors and not on others, and MXNet says nothing. So a file is used
only where its probe gets the answer that it got before.
"""

import mxnet as mx
import numpy as np
from mxnet import gluon

from .. import checkpoint, runtime
from ..errors import MXNetSegError, UsageError
from .backend import MXNetBackend

GRAPH, IMAGE, LOGITS = "graph:json", "probe:image", "probe:logits"
ROUNDING = "probe_rounding"
"""Entry of ``meta``: how far the probe's logits are from float32, by :func:`share`."""

TOLERANCE, MOST = 0.05, 0.5
"""How far a processor may be off, as a share of the logits' standard deviation: as far as rounding
moved them where the file was written, but something and not too much. Without VNNI, oneDNN gives
weights 7 bits where activations have a sign (the network ``streets``: 0.09)."""


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
        checked: whether its probe is run first. static: see ``MXNetBackend``.

    Raises:
        UsageError: a device is no CPU, or this MXNet has no oneDNN.
        MXNetSegError: the file does not hold what it should, or the probe gets another answer.
    """

    def __init__(self, saved, contexts, checked=True, static=None):
        if not all(runtime.on_host(c) for c in contexts):
            raise UsageError(f"{saved.path} holds 8-bit integers for CPUs: give --ctx cpu.")
        if not mx.runtime.Features().is_enabled("MKLDNN"):
            raise UsageError(
                f"{saved.path} holds 8-bit integers, for which this MXNet lacks oneDNN. Give the "
                "checkpoint in float32."
            )
        about = saved.description
        net = checkpoint.bare(saved)
        super().__init__(net, contexts, about.mean, about.std, fuse=False, static=static)
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
            value = self._saved.parameters[name]
            if value.dtype == np.float16:
                value = value.astype("float32")
            parameter._load_init(value, self.contexts)
        block.hybridize(static_alloc=static, static_shape=static)
        return block

    def _check_probe(self):
        arrays = self._saved.parameters
        if IMAGE not in arrays or LOGITS not in arrays:
            raise MXNetSegError(
                f"{self._saved.path} has no probe that shows whether integers are right here. "
                "Write it again with `mxnetseg quantize`."
            )
        image, wanted = arrays[IMAGE].asnumpy(), arrays[LOGITS].asnumpy()
        try:
            found = self(image[None]).asnumpy()
        except mx.MXNetError as error:
            raise MXNetSegError(
                f"MXNet cannot run {self._saved.path} here: {str(error).splitlines()[0]}"
            ) from None
        error = share(found, wanted)
        allowed = min(MOST, max(TOLERANCE, self._saved.meta.get(ROUNDING, 0.0)))
        if not error <= allowed:
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


def arrays_of(graph, arrays):
    """What a file holds of a network: the graph, and what it reads; weights as float16.

    MXNet makes integers of the weights itself, a scale for each output channel, when it runs them:
    their steps are ten times as large as those of float16.

    Args:
        graph: Symbol. arrays: {name: NDArray}, all that it reads but the images.
    """
    text = np.frombuffer(graph.tojson().encode("utf-8"), np.uint8)
    found = {GRAPH: mx.nd.array(text, dtype="uint8")}
    for name, value in arrays.items():
        found[name] = value.astype("float16") if value.ndim > 1 else value
    return found
