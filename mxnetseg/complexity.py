"""What a network costs: parameters, multiply-adds, activations and memory of every layer.

The convention (``mxnetseg complexity`` prints it too):

* **Parameters**: trainable numbers that the computed outputs depend on; no running statistics.
* **MACs**: multiply-adds of convolutions (transposed ones too), linear layers and products of two
  computed matrices (attention), without biases. Norms fold into convolutions; activations, pooling
  and resizing are not counted. One MAC is two floating point operations. That is what fvcore and
  thop report for these layers as "FLOPs".
* **Activations**: numbers in the outputs of the layers that have MACs (Radosavovic et al.,
  Designing Network Design Spaces, 2020).
* **Memory**: bytes of all outputs, what training keeps; the peak is what inference needs if every
  output is freed behind its last reader and element-wise operators work in place.

Everything in float32, for the logits at the network's own resolution.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from .columns import aligned, counted
from .graph import from_sizes as read_from_sizes
from .layers import trace

FLOAT = 4  # bytes
COUNTED = ("parameters", "macs", "activations", "memory")

# a new shape for the same memory
VIEWS = ("Reshape", "reshape_like", "expand_dims", "Flatten", "Dropout", "BlockGrad", "identity")
IN_PLACE = (
    "Activation", "BatchNorm", "LeakyReLU", "abs", "clip", "relu", "sigmoid", "softmax",
    "elemwise_add", "elemwise_mul", "elemwise_sub", "broadcast_add", "broadcast_mul",
    "broadcast_sub", "broadcast_div", "_plus_scalar", "_mul_scalar", "_minus_scalar", "_div_scalar",
    "_rminus_scalar",
)  # fmt: skip
AVERAGES = ("Pooling", "_contrib_AdaptiveAvgPooling2D")


@dataclass(frozen=True)
class Layer:
    """What a layer costs that computes something itself; its parts are layers of their own.

    Attributes:
        name: its path, "" for the network itself. kind: the class of its block.
        output: shape of the last thing that it computes.
        parameters, macs, activations: counts. memory: bytes.
    """

    name: str
    kind: str
    output: Tuple[int, ...]
    parameters: int
    macs: int
    activations: int
    memory: int


@dataclass(frozen=True)
class Complexity:
    """What a network costs for inputs of one size.

    Attributes:
        size: (height, width). batch: images.
        layers: in the order in which they run.
        parameters, macs, activations, memory: sums over the layers.
        weights: bytes of parameters and running statistics. peak: bytes of outputs at the moment
            of inference that needs most.
        unused: trainable parameters of the network that no computed output depends on.
        counts: {convention: multiply-adds or operations}, see :data:`COUNTS`.
        kinds: {path: class} of all blocks.
    """

    size: Tuple[int, int]
    batch: int
    layers: List[Layer]
    parameters: int
    macs: int
    activations: int
    memory: int
    weights: int
    peak: int
    unused: int
    counts: Dict[str, int]
    kinds: Dict[str, str]

    def as_dict(self):
        """As JSON."""
        found = asdict(self)
        del found["kinds"]
        return found

    def grouped(self, depth=None):
        """The same with one row for all that lies deeper than ``depth`` names; None: as it is."""
        if depth is None:
            return self
        groups: Dict[str, Layer] = {}
        for layer in self.layers:
            name = ".".join(layer.name.split(".")[:depth])
            before = groups.get(name)
            if before is None:
                kind = self.kinds.get(name, "")
                groups[name] = replace(layer, name=name, kind=kind)
                continue
            sums = {k: getattr(before, k) + getattr(layer, k) for k in COUNTED}
            groups[name] = replace(before, output=layer.output, **sums)
        return replace(self, layers=list(groups.values()))


def measure(net, height, width, batch=1, outputs=1):
    """The Complexity of a network.

    Args:
        net: a SegmentationModel; its parameters need no values.
        outputs: how many of its outputs are computed, the main one first; None for all.

    Raises:
        UsageError: the network does not take such images.
    """
    traced = trace(net, height, width, batch, outputs)
    graph = traced.graph
    kinds = {path: type(block).__name__ for path, block in traced.blocks.items()}
    from_sizes = read_from_sizes(graph)
    trainable = {p.name for p in net.collect_params().values() if p.grad_req != "null"}
    rows: Dict[str, Dict[str, Any]] = {}
    weights = 0
    for node, owner in zip(graph.nodes, traced.owners):
        row = rows.setdefault(
            owner, dict(output=(), parameters=0, macs=0, activations=0, memory=0, ran=None)
        )
        if node.op is None:
            size = _size(node.shapes[0])
            row["parameters"] += size if node.name in trainable else 0
            weights += 0 if node.name == "data" else FLOAT * size
            continue
        macs = multiply_adds(graph, node, from_sizes)
        row["output"], row["macs"] = node.shapes[0], row["macs"] + macs
        row["activations"] += _size(node.shapes[0]) if macs else 0
        row["memory"] += 0 if node.op in VIEWS else _bytes(node)
        row["ran"] = node.index if row["ran"] is None else row["ran"]
    ran = sorted((r["ran"], name) for name, r in rows.items() if r["ran"] is not None)
    layers = [
        Layer(name, kinds.get(name, ""), **{k: v for k, v in rows[name].items() if k != "ran"})
        for _, name in ran
    ]
    total = {key: sum(row[key] for row in rows.values()) for key in COUNTED}
    every = sum(int(np.prod(p.shape)) for p in net.collect_params().values() if p.name in trainable)
    counts = {name: count(graph, from_sizes) for name, count in COUNTS.items()}
    return Complexity(
        (height, width), batch, layers, **total, weights=weights,
        peak=_peak(graph), unused=every - total["parameters"], counts=counts, kinds=kinds,
    )  # fmt: skip


def multiply_adds(graph, node, from_sizes):
    """The multiply-adds of a node, see the convention above."""
    shapes = graph.input_shapes(node)
    if node.op == "Convolution" or node.op == "FullyConnected":
        return _size(node.shapes[0]) * _size(shapes[1][1:])
    if node.op == "Deconvolution":
        return _size(shapes[0]) * _size(shapes[1][1:])
    if node.op in ("dot", "batch_dot"):
        if any(output.node in from_sizes for output in node.inputs):
            return 0
        transposed = node.attrs.get("transpose_a", False)
        axis = (0 if node.op == "dot" else -2) if transposed else -1
        return _size(node.shapes[0]) * shapes[0][axis]
    return 0


def _pmsdsen(graph, from_sizes):
    """Two-dimensional convolutions alone, each with half of its bias."""
    total = 0
    for node in graph.nodes:
        if node.op == "Convolution" and len(node.attrs["kernel"]) == 2:
            total += 2 * multiply_adds(graph, node, from_sizes)
            total += 0 if node.attrs.get("no_bias") else _size(node.shapes[0])
    return total // 2


def _thop(graph, from_sizes):
    """MACs and, as one operation each, biases of convolutions, pooled values and their means.

    Norms have two operations per value, activations, resizing and the largest of a window none.
    """
    total = 0
    for node in graph.nodes:
        if node.op is None:
            continue
        out, before = _size(node.shapes[0]), graph.input_shapes(node)
        total += multiply_adds(graph, node, from_sizes)
        if node.op in ("Convolution", "Deconvolution"):
            total += 0 if node.attrs.get("no_bias") else out
        elif node.op == "BatchNorm":
            total += 2 * out
        elif node.op in AVERAGES and node.attrs.get("pool_type", "avg") == "avg":
            total += out * (_window(node, before[0]) + 1)
    return total


def _window(node, shape):
    """How many values the average pooling of maps (N, C, H, W) takes together."""
    if node.op == "Pooling" and not node.attrs.get("global_pool"):
        return _size(node.attrs["kernel"])
    return _size(shape[2:]) // _size(node.shapes[0][2:])


COUNTS = {"pmsdsen": _pmsdsen, "thop": _thop}
"""Other conventions, those of published tables: {name: (graph, numbers of nodes that depend on
sizes alone) -> count}. ``thop`` is the library's (0.0.31) that MLMSNet's table was made with."""


def _peak(graph):
    """Bytes of outputs at the moment when most are needed."""
    memory = {}  # node -> the node whose memory it uses
    readers: Dict[int, int] = {}
    for node in graph.nodes:
        for source in {o.node for o in node.inputs}:
            readers[source] = readers.get(source, 0) + 1
    for head in graph.heads:
        readers[head.node] = readers.get(head.node, 0) + 1  # never freed
    users: Dict[int, int] = {}  # memory -> readers that are still to come
    size: Dict[int, int] = {}
    now = most = 0
    for node in graph.nodes:
        if node.op is None:
            continue
        computed = [o.node for o in node.inputs if o.node in memory]
        taken = _taken_over(graph, node, computed, memory, users)
        index = memory[node.index] = node.index if taken is None else memory[taken]
        if taken is None:
            users[index], size[index] = 0, _bytes(node)
            now += size[index]
        users[index] += readers.get(node.index, 0)
        most = max(most, now)
        for source in set(computed):
            own = memory[source]
            users[own] -= 1
            if users[own] == 0:
                now -= size[own]
    return most


def _taken_over(graph, node, computed, memory, users) -> Optional[int]:
    """The input whose memory a node goes on using."""
    if node.op in VIEWS and computed and node.inputs[0].node == computed[0]:
        return computed[0]
    if node.op in IN_PLACE:
        for source in computed:
            alone = users[memory[source]] == 1
            if alone and graph.nodes[source].shapes[0] == node.shapes[0]:
                return source
    return None


def _bytes(node):
    return FLOAT * sum(_size(shape) for shape in node.shapes)


def _size(shape):
    return int(np.prod(shape, dtype=np.int64))


# --- text ---------------------------------------------------------------------------------------

CONVENTION = """\
parameters: trainable, that the outputs computed here depend on. MACs: multiply-adds of
convolutions, linear layers and attention, without biases; one MAC is two FLOPs. activations:
outputs of these layers. memory: of all outputs, in float32; peak: at inference. Logits at the
network's own resolution. As others count: thop's operations {thop}, PMSDSEN's {pmsdsen}."""


def as_text(title, cost):
    """A table of the layers, the sums and what was counted."""
    rows = [("layer", "kind", "output", "parameters", "MACs", "share", "activations", "memory")]
    for layer in cost.layers:
        share = f"{100 * layer.macs / cost.macs:.1f} %" if layer.macs else ""
        output = "x".join(map(str, layer.output[1:]))
        numbers = (short(layer.parameters), short(layer.macs), share, short(layer.activations))
        rows.append((layer.name or "-", layer.kind, output, *numbers, mebibytes(layer.memory)))
    numbers = (short(cost.parameters), short(cost.macs), "", short(cost.activations))
    rows.append(("all", "", "", *numbers, mebibytes(cost.memory)))
    lines = list(aligned(rows, right=5))
    lines.insert(-1, "")
    counts = {name: f"{short(count)}" for name, count in cost.counts.items()}
    size = f"{counted(cost.batch, 'image')} of {cost.size[0]}x{cost.size[1]}"
    unused = f", {short(cost.unused)} more unused" if cost.unused else ""
    return "\n".join(
        [
            f"{title}: {size}",
            "",
            *lines,
            "",
            f"parameters {cost.parameters:,}{unused}; MACs {cost.macs / 1e9:.4f} G; "
            f"weights {mebibytes(cost.weights)}, outputs at the peak {mebibytes(cost.peak)}",
            "",
            CONVENTION.format(**counts),
        ]
    )


def as_text_of_several(titles, costs):
    """A row for each network."""
    rows = [("network", "size", "parameters", "MACs", "activations", "weights", "peak")]
    for title, cost in zip(titles, costs):
        numbers = (short(cost.parameters), short(cost.macs), short(cost.activations))
        memory = (mebibytes(cost.weights), mebibytes(cost.peak))
        rows.append((title, f"{cost.size[0]}x{cost.size[1]}", *numbers, *memory))
    return "\n".join(aligned(rows, right=5))


def short(count):
    """12345678 -> "12.35 M"."""
    for unit, value in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= value:
            return f"{count / value:.2f} {unit}"
    return str(count)


def mebibytes(count):
    return f"{count / 2**20:.1f} MiB"
