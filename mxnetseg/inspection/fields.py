"""Receptive fields from the graph: which pixels a value of a layer can depend on.

Position i of a map sees, along an axis, the pixels ``start + i * stride`` ... ``end + i * stride``
(Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, Distill 2019). Where
paths meet, the union counts: the least start and the largest end. Paths that see the whole image
(global pooling and what is gated by it, attention, sampling at computed places) are kept apart:
they are said, but do not swallow the local field.

Bilinear resizing reads two neighbours around a place between them, taken here as a kernel of two
centred there: behind it start and end are off by up to half of the coarser stride. All else is
exact away from the borders.
"""

from dataclasses import dataclass, replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from ..columns import aligned
from ..graph import from_sizes
from ..layers import trace
from ..registry import unknown
from .field import COLUMNS, NOTHING, ROWS, Field, View
from .field_rules import RULES, Step, element_wise


@dataclass(frozen=True)
class Row:
    """The receptive field of a layer.

    Attributes:
        name, kind: as in :mod:`~mxnetseg.complexity`. output: shape.
        size, stride, offset: (rows, columns) in pixels; offset: of the centre of the field of
            position 0. None where only paths from the whole image lead here.
        everything: whether there is a path from the whole image.
    """

    name: str
    kind: str
    output: Tuple[int, ...]
    size: Optional[Tuple[float, float]]
    stride: Optional[Tuple[float, float]]
    offset: Optional[Tuple[float, float]]
    everything: bool


def table(net, height, width) -> List[Row]:
    """The receptive field of each layer that the main output depends on, in order of running.

    A layer's is that of the last thing it computes. The last row is the output, "main".

    Raises:
        UsageError: the network does not take such images.
    """
    traced = trace(net, height, width)
    views = of_nodes(traced.graph)
    kinds = {path: type(block).__name__ for path, block in traced.blocks.items()}
    last = _last_nodes(traced, views)
    rows = [
        _row(name, kinds.get(name, ""), node, views.seen[node.index]) for name, node in last.items()
    ]
    head = _head(traced)
    return [*rows, _row("main", "output", head, views.seen[head.index])]


def _head(traced):
    return traced.graph.nodes[traced.graph.heads[0].node]


def _last_nodes(traced, views):
    """{layer: the node that computes the last thing in it}, in order of running."""
    last: Dict[str, Any] = {}
    for node, owner in zip(traced.graph.nodes, traced.owners):
        if node.op is not None and node.index not in views.from_sizes:
            last.pop(owner, None)
            last[owner] = node
    return last


def last_node(traced, views, layer):
    """The node whose values are a layer's; UsageError if there is no such layer."""
    if layer == "main":
        return _head(traced)
    last = _last_nodes(traced, views)
    inside = _inside(last, layer.partition(":")[0])
    if not inside:
        raise unknown("layer", layer, [name for name in last if name])
    return last[inside[-1]]


def _inside(names, layer):
    """The names of a layer's parts, and its own."""
    return [name for name in names if name == layer or name.startswith(f"{layer}.")]


def grouped(rows, depth=None):
    """One row for all that lies deeper than ``depth`` names: the last of them; None: as it is."""
    if depth is None:
        return list(rows)
    last: Dict[str, Row] = {}
    for row in rows:
        name = ".".join(row.name.split(".")[:depth])
        last.pop(name, None)
        last[name] = row
    return [replace(row, name=name) for name, row in last.items()]


def find(rows, name):
    """The row of a layer: its own, or that of the last of its parts; None if there is none."""
    name = name.partition(":")[0]
    inside = _inside([row.name for row in rows], name)
    return next((r for r in rows if inside and r.name == inside[-1]), None)


def as_text(rows):
    """A table."""
    table = [("layer", "kind", "output", "size", "stride", "offset", "")]
    for row in rows:
        numbers = [_pair_text(v) for v in (row.size, row.stride, row.offset)]
        everything = "and everything" if row.size else "everything"
        output = "x".join(map(str, row.output[1:]))
        last = everything if row.everything else ""
        table.append((row.name or "-", row.kind, output, *numbers, last))
    return "\n".join(
        [
            *aligned(table, right=0),
            "",
            "In pixels, rows x columns. size: of the field away from the borders. offset: of the "
            "centre of the",
            "field of the first value. everything: global pooling, attention or computed sampling "
            "leads here.",
        ]
    )


def _pair_text(pair):
    if pair is None:
        return "-"
    return f"{pair[0]:g}" if pair[0] == pair[1] else f"{pair[0]:g}x{pair[1]:g}"


def _row(name, kind, node, view):
    fields = [view.axes[axis][1] for axis in (ROWS, COLUMNS) if axis in view.axes]
    if len(fields) < 2:
        return Row(name, kind, node.shapes[0], None, None, None, view.everything)
    size, stride, offset = (
        tuple(round(float(getattr(f, what)), 3) for f in fields)
        for what in ("size", "stride", "center")
    )
    return Row(name, kind, node.shapes[0], size, stride, offset, view.everything)


class Views(NamedTuple):
    """What a graph's nodes see.

    Attributes:
        seen: {number of a node: View}. from_sizes: numbers of those that depend on sizes alone.
    """

    seen: Dict[int, View]
    from_sizes: Any


def of_nodes(graph):
    """The Views of a graph with shapes, whose images are the variable "data" (N, C, H, W)."""
    constant = from_sizes(graph)
    seen: Dict[int, View] = {}
    for node in graph.nodes:
        if node.op is None:
            pixel = Field(0, 0, 1)
            images = View({ROWS: (2, pixel), COLUMNS: (3, pixel)})
            seen[node.index] = images if node.name == "data" else NOTHING
        elif node.index in constant:
            seen[node.index] = NOTHING
        else:
            rule = RULES.get(node.op, element_wise)
            inputs = [seen[source.index] for source in graph.sources(node)]
            seen[node.index] = rule(Step(node, inputs, graph.input_shapes(node), constant))
    return Views(seen, constant)
