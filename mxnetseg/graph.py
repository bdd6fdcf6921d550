"""A network's symbol as a list of nodes, with shapes: read here once for all who look at it.

Two things about MXNet's graphs are easy to get wrong. A layer that runs twice is two nodes of one
name, so nodes are known by their number. And an operator may have outputs that cannot be seen
(batch norm has three and shows one), so an output's place among ``symbol.get_internals()`` is not
its place in the JSON.
"""

import ast
import json
from dataclasses import dataclass
from typing import Any, Dict, NamedTuple, Optional, Tuple

Shape = Tuple[int, ...]


class Output(NamedTuple):
    """An output of a node: its number in ``Graph.nodes`` and which of its outputs."""

    node: int
    number: int


@dataclass(frozen=True)
class Node:
    """An operator or a variable of a graph.

    Attributes:
        index: its place in ``Graph.nodes``.
        name: as Gluon made it; not unique.
        op: MXNet's name of the operator; None for a variable (the images, a parameter).
        attrs: the operator's arguments that were given: numbers, tuples, booleans, None, words.
        inputs: where they come from.
        first: place of its first output among ``symbol.get_internals()``.
        shapes, dtypes: of the outputs that can be seen; without shapes if none were asked for.
    """

    index: int
    name: str
    op: Optional[str]
    attrs: Dict[str, Any]
    inputs: Tuple[Output, ...]
    first: int
    shapes: Tuple[Shape, ...] = ()
    dtypes: Tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """The nodes of a symbol, every one behind its inputs.

    Attributes:
        nodes: all of them. heads: what the symbol gives.
    """

    nodes: Tuple[Node, ...]
    heads: Tuple[Output, ...]

    def sources(self, node):
        """The nodes that ``node`` reads, in order of its inputs."""
        return [self.nodes[output.node] for output in node.inputs]

    def parameters(self, node):
        """The variables that ``node`` reads, but not as its first input: its parameters."""
        return [source for source in self.sources(node)[1:] if source.op is None]

    def input_shapes(self, node):
        """The shapes of a node's inputs."""
        return [self.nodes[i].shapes[k] for i, k in node.inputs]


def read(symbol, **shapes):
    """The Graph of a symbol.

    Args:
        shapes: of variables whose shape is not known: ``data=(1, 3, 64, 96)``. With any, every node
            gets shapes and dtypes; float32 where nothing says otherwise.

    Raises:
        mxnet.MXNetError: the shapes do not fit.
    """
    content = json.loads(symbol.tojson(remove_amp_cast=False))
    internals = symbol.get_internals()
    entries = internals.list_outputs()
    all_shapes = all_dtypes = None
    if shapes:
        all_shapes = [tuple(shape) for shape in internals.infer_shape(**shapes)[1]]
        all_dtypes = [
            dtype.__name__ for dtype in internals.infer_type(**dict.fromkeys(shapes, "float32"))[1]
        ]
    row_pointers = content["node_row_ptr"]
    nodes, first = [], 0
    for index, raw in enumerate(content["nodes"]):
        attrs = {k: _value(v) for k, v in raw.get("attrs", {}).items() if not k.startswith("__")}
        total = row_pointers[index + 1] - row_pointers[index]
        count = _visible(raw["name"], attrs, total, entries[first])
        own = slice(first, first + count)
        nodes.append(
            Node(
                index,
                raw["name"],
                None if raw["op"] == "null" else raw["op"],
                attrs,
                tuple(Output(source, number) for source, number, *_ in raw["inputs"]),
                first,
                tuple(all_shapes[own]) if shapes else (),
                tuple(all_dtypes[own]) if shapes else (),
            )
        )
        first += count
    heads = tuple(Output(node, number) for node, number, *_ in content["heads"])
    return Graph(tuple(nodes), heads)


def _visible(name, attrs, total, entry):
    """How many of a node's ``total`` outputs are listed; ``entry`` is the first name of them."""
    if entry == f"{name}_output0" or attrs.get("output_mean_var"):
        return total
    return 1


def _value(text):
    """An attribute as Python has it; words stay words."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


FROM_SIZES = ("_contrib_arange_like", "ones_like", "zeros_like", "shape_array")


def from_sizes(graph):
    """The numbers of the nodes whose values depend on the sizes of maps only."""
    found = set()
    for node in graph.nodes:
        sources = [output.node for output in node.inputs]
        if node.op in FROM_SIZES or (sources and found.issuperset(sources)):
            found.add(node.index)
    return found
