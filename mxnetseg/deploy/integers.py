"""A checkpoint in MXNet's own 8-bit integers (oneDNN): calibrated, and written as a checkpoint.

What is wrong in MXNet 1.9.1, and done about it:

* a global pooling or a convolution in one dimension has no operator for integers, yet is given
  one, which fails: they stay in float;
* convolutions in groups, except depthwise ones, give nonsense in integers: they stay in float;
* a convolution that a sum and an activation other than ReLU were joined to fails: it does, too;
* the product of a map with a sign and one without fails: products stay in float;
* a ReLU that was not joined to a convolution gives nonsense (SANet): such activations do, too;
* sums that are joined to a convolution are misread (:mod:`~mxnetseg.deploy.summands`);
* elsewhere, too, types may not fit together: several *ways* are tried on images, and the nearest to
  float32 is taken;
* nothing says that a result is right: it is held against float32 at several sizes.
"""

import contextlib
import ctypes
import itertools
import json
import os
from typing import NamedTuple, Tuple
from unittest import mock

import mxnet as mx
import numpy as np
from mxnet.contrib import quantization as tools

from .. import checkpoint, nn
from ..errors import MXNetSegError
from ..inference import checkpoints
from . import equalize, summands
from .sensitivity import Quantized, operators, part_of, summary

BACKEND = "MKLDNN_QUANTIZE"
GRANULARITY = "channel-wise"  # of weights: a scale for each output channel
TRIAL_IMAGES = 2
WRONG = 1.0
"""From this share of the logits' standard deviation on the answer has nothing to do with the image:
that of a network that always says the same is as far away. What lies below, mIoU judges."""


class Way(NamedTuple):
    """A way to make integers of a network.

    Attributes:
        types: "auto": without sign where nothing is negative; "int8": with sign.
        floating: operators that stay in float.
    """

    types: str
    floating: Tuple[str, ...] = ()


PRODUCTS = ("elemwise_mul", "_Mul")
JOINTS = ("elemwise_add", "_Plus", "Concat", "concat")
WAYS = (Way("auto"), Way("int8"), Way("auto", JOINTS), Way("int8", JOINTS))


class Quantizer:
    """Makes a checkpoint's integer version, with any of its layers in float.

    Args:
        saved: Checkpoint in float32.
        images: iterator of normalised images, float32 (1, C, H, W), on which it is calibrated.

    Raises:
        MXNetSegError: MXNet cannot quantise it.
    """

    def __init__(self, saved, images):
        self.source, self._net = saved, checkpoint.network(saved)
        data = mx.sym.var("data", dtype="float32")
        with nn.whole_operators():
            symbol = self._net.logits(mx.sym, data)[0]
        self._joined = summands.apart(_with_activations(symbol).get_backend_symbol(BACKEND))
        self._values = {p.name: p.data() for p in self._net.collect_params().values()}
        names = {p.name: n for n, p in self._net._collect_params_with_prefix().items()}
        self.groups, self._never = _groups(self._joined, names, self._values)
        self._shortcuts = summands.shortcuts(self._joined, self._values)
        self._pairs = equalize.pairs(self._joined, self._values)
        self._equal = {summands.output(pair.name) for pair in self._pairs}
        self._ranges, self._highs = {}, {}
        first = list(itertools.islice(images, TRIAL_IMAGES))
        self._calibrate(first)
        self.way = self._best_way(first)
        self._calibrate(images)

    def network(self, floating=()):
        """The Quantized in which some layers are in float."""
        return Quantized(self._file(self.way, floating), summary(self.groups, floating))

    def _best_way(self, images):
        wanted = [self._float(x) for x in images]
        found, failure = [], ""
        for way in WAYS:
            try:
                infer = runner(self._file(way))
                errors = [checkpoints.share(infer(x), y) for x, y in zip(images, wanted)]
                found.append((max(errors), way))
            except MXNetSegError as error:
                failure = str(error)
        if not found:
            raise MXNetSegError(f"MXNet cannot quantise the network: {failure}")
        best = min(error for error, _ in found)
        return next(way for error, way in found if error <= 1.1 * best)

    def _float(self, x):
        return self._net.logits(mx.nd, mx.nd.array(x))[0].asnumpy()

    def _calibrate(self, images):
        """Extend the range of every layer's outputs to what occurs in images."""
        executor, shape = None, None
        for x in images:
            if x.shape != shape:
                given = {**self._values, "data": mx.nd.array(x)}
                arguments = {n: given[n] for n in self._joined.list_arguments()}
                states = {n: given[n] for n in self._joined.list_auxiliary_states()}
                with _joined_already():
                    executor = self._joined.bind(
                        mx.cpu(), arguments, aux_states=states, grad_req="null"
                    )
                executor.set_monitor_callback(self._watch, monitor_all=True)
                shape = x.shape
            executor.forward(is_train=False, data=mx.nd.array(x))
            mx.nd.waitall()

    def _watch(self, name, array):
        name = name.decode() if isinstance(name, bytes) else name
        if name in self._values:
            return
        array = mx.nd.NDArray(ctypes.cast(array, mx.base.NDArrayHandle), writable=False)
        values = array.asnumpy()
        low, high = self._ranges.get(name, (np.inf, -np.inf))
        self._ranges[name] = (min(low, float(values.min())), max(high, float(values.max())))
        if name in self._equal:
            high = values.max(axis=(0, 2, 3))
            self._highs[name] = np.maximum(self._highs.get(name, high), high)

    def _file(self, way, floating=()):
        """A Checkpoint in integers, without a probe."""
        joined, values, known = summands.without_sign(
            self._joined, self._values, self._ranges, self._shortcuts
        )
        values = equalize.equalized(values, self._highs, self._pairs)
        excluded = [*self._never, *operators(self.groups, floating)]
        excluded += summands.mismatched(joined, known, set(excluded), way.types == "int8")
        excluded = list(dict.fromkeys(excluded))
        arguments = {n: values[n] for n in joined.list_arguments() if n != "data"}
        try:
            graph, wanted = tools._quantize_symbol(
                joined, mx.cpu(), excluded, list(way.floating), list(arguments),
                way.types, "smart", GRANULARITY,
            )  # fmt: skip
            ranges = {name: known[name] for name in wanted if name in known}
            graph = tools._calibrate_quantized_sym(graph, ranges)
            arrays = tools._quantize_params(graph, arguments, ranges)
            graph = graph.get_backend_symbol(BACKEND)
        except mx.MXNetError as error:
            raise MXNetSegError(_last_line(error)) from None
        states = {n: values[n] for n in graph.list_auxiliary_states()}
        used = set(graph.list_inputs())
        arrays = {n: v for n, v in {**arrays, **states}.items() if n in used}
        meta = {**self.source.meta, "precision": "int8"}
        arrays = checkpoints.arrays_of(graph, arrays)
        return checkpoint.Checkpoint(meta, arrays, {}, self.source.path)


def runner(saved):
    """A function of normalised images (NumPy) -> logits, of a Checkpoint in integers or float.

    It raises MXNetSegError where MXNet cannot run it.
    """
    backend = start(saved)

    def run(x):
        try:
            return backend.run(x)
        except mx.MXNetError as error:
            raise MXNetSegError(_last_line(error)) from None

    return run


def start(saved):
    """The backend of a Checkpoint in integers that need not have a probe, or in float."""
    if saved.in_integers:
        return checkpoints.IntegerBackend(saved, [mx.cpu()], checked=False)
    return checkpoints.of_checkpoint(saved, [mx.cpu()])


def verify(source, quantized, image):
    """Hold a network in integers against float32 at two sizes, in batches of two.

    Args:
        source, quantized: Checkpoints. image: uint8 or float32 (H, W, C).

    Returns:
        The largest difference, as a share of the logits' standard deviation.

    Raises:
        MXNetSegError: it differs by more than integers can; a batch by more than its images.
    """
    float_backend, backend = start(source), start(quantized)
    height, width = image.shape[:2]
    largest, sizes = 0.0, [(1, 1), (0.75, 0.5), (1, 1)]
    if backend.net.fixed_size:
        sizes = sizes[:1]
    for rows, columns in sizes:
        part = image[: max(1, int(height * rows)), : max(1, int(width * columns))]
        batch = np.stack([part, part[:, ::-1]])
        try:
            found = backend(batch).asnumpy()
            alone = np.concatenate([backend(one[None]).asnumpy() for one in batch])
        except mx.MXNetError as error:
            raise MXNetSegError(f"In integers MXNet cannot run it: {_last_line(error)}") from None
        error = checkpoints.share(found, float_backend(batch).asnumpy())
        apart = checkpoints.share(found, alone)
        if not error <= WRONG or not apart <= checkpoints.TOLERANCE:
            raise MXNetSegError(
                f"In integers MXNet computes something else: for images of {part.shape[0]}x"
                f"{part.shape[1]} the logits are off by {max(error, apart):.2g} of their standard "
                "deviation; nothing is written. Use -o X.onnx instead."
            )
        largest = max(largest, error)
    return largest


def write(path, source, quantized, meta, size=(96, 160)):
    """Write a network in integers with its probe, and run it from the file.

    Args:
        source: Checkpoint in float32. quantized: Quantized. meta: further entries.
        size: of the probe; what the network takes at least.
    """
    saved = quantized.file
    backend = start(saved)
    image = checkpoints.probe(backend.net.in_channels, *backend.padded_size(*size))
    logits = backend(image[None])
    arrays = {
        **saved.parameters,
        checkpoints.IMAGE: mx.nd.array(image, dtype=image.dtype),
        checkpoints.LOGITS: logits,
    }
    rounding = checkpoints.share(logits.asnumpy(), start(source)(image[None]).asnumpy())
    meta = {**meta, checkpoints.ROUNDING: rounding}
    kept = {k: v for k, v in saved.meta.items() if k not in ("progress", "checksum", "format")}
    checkpoint.write(path, arrays, {**kept, **meta})
    checkpoints.of_checkpoint(checkpoint.read(path, integers=True), [mx.cpu()])


def _with_activations(symbol):
    """A graph whose sigmoids are oneDNN's, thirty times as fast: SANet takes 0.93 of the time."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["op"] == "sigmoid":
            node.update(op="Activation", attrs={"act_type": "sigmoid"})
    return mx.sym.load_json(json.dumps(graph))


def _groups(joined, names, values):
    """(``groups`` of a quantizer, names of operators that stay in float)."""
    nodes = json.loads(joined.tojson())["nodes"]
    groups, never, current = {}, [], ("input", "input")
    for node in nodes:
        if node["op"] == "null":
            continue
        read = [nodes[number]["name"] for number, *_ in node["inputs"]]
        own = [name for name in read if name in names]
        if own:
            current = part_of(names[own[0]]), names[own[0]].rpartition(".")[0]
        part, layer = current
        groups.setdefault(part, {}).setdefault(layer, []).append(node["name"])
        if _stays_float(node, [values[name] for name in own]):
            never.append(node["name"])
    return groups, never


def _stays_float(node, parameters):
    """Whether MXNet fails, or is wrong, with the integers of an operator."""
    if summands.flag(node, "global_pool"):
        return True
    if node["op"] == "Activation" or node["op"] in PRODUCTS:
        return True
    inner = summands.inner(node)
    for convolution in (n for n in (node, *inner) if n["op"] == "Convolution"):
        if not parameters:  # its weight is computed
            return True
        groups = int(convolution["attrs"].get("num_group", 1))
        weight = parameters[0]
        depthwise = groups == weight.shape[0] and weight.shape[1] == 1
        if weight.ndim != 4 or (groups > 1 and not depthwise):
            return True
    sums = any(n["op"] in JOINTS for n in inner)
    return sums and any(_is_curved(n) for n in inner)


def _is_curved(node):
    """Whether an operator is an activation other than ReLU."""
    return node["op"] == "LeakyReLU" or (
        node["op"] == "Activation" and node["attrs"]["act_type"] != "relu"
    )


@contextlib.contextmanager
def _joined_already():
    """Within: MXNet binds a graph as it is, and says nothing."""
    # "default" joins the operators of an empty list; NONE would be announced
    with mock.patch.dict(os.environ, MXNET_SUBGRAPH_BACKEND="default", MXNET_SUBGRAPH_VERBOSE="0"):
        yield


def _last_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
