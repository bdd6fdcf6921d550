"""Sums that MXNet 1.9.1 joins to a convolution, in 8-bit integers: with a sign or without.

A sum's result and the summand that it is added to are one tensor in oneDNN. MXNet reads a summand
with a sign as if it had none where a ReLU follows, and nothing tells: the first block of each stage
of a ResNet is wrong. So its shortcut gets rid of the sign. It is a convolution of its own, so a
constant that is added to it and taken from the other summand changes nothing:

    relu(a + b) = relu((a - c) + (b + c)),  b + c >= 0

Where that is impossible the convolution and its sum stay in float.
"""

import json
from collections import Counter
from typing import NamedTuple

import mxnet as mx

CONVOLUTION = "_sg_mkldnn_conv"
PASSED_ON = ("Activation", "Pooling", "Flatten", "elemwise_add", "_Plus", "Concat", "concat")
"""Operators whose integers have no sign if none of their inputs has."""


class Shortcut(NamedTuple):
    """A convolution whose result is only added to another's, with a ReLU behind the sum.

    Attributes:
        name: its operator. offset, other: parameters added to its result and to the other's.
    """

    name: str
    offset: str
    other: str


def shortcuts(symbol, values):
    """All Shortcuts of a joined graph; ``values``: {name of a parameter: NDArray}."""
    graph = json.loads(symbol.tojson())
    nodes, often, found = graph["nodes"], readings(graph), []
    for node in nodes:
        if not (_has_sum(node) and _ends_without_sign(node)):
            continue
        number = node["inputs"][-1][0]
        made = nodes[number]
        plain = made["op"] == CONVOLUTION and not _has_sum(made) and not _acts(made)
        if plain and often[number] == 1:
            pair = [_offset(each, values) for each in (made, node)]
            if all(pair):
                found.append(Shortcut(made["name"], *pair))
    return found


def readings(graph):
    """How often each node of a graph, as JSON, is read: {its number: times}."""
    lists = [*(node["inputs"] for node in graph["nodes"]), graph["heads"]]
    return Counter(number for outputs in lists for number, *_ in outputs)


def without_sign(symbol, values, ranges, found):
    """(symbol, values, ranges) with the Shortcuts ``found`` moved so that nothing is negative.

    Args:
        ranges: {name of an output: (lowest, highest)}.
    """
    values, ranges, names = dict(values), dict(ranges), set()
    for shortcut in found:
        low, high = ranges.get(output(shortcut.name), (0.0, 0.0))
        if low < 0:
            names.add(shortcut.name)
            values[shortcut.offset] = values[shortcut.offset] - low
            values[shortcut.other] = values[shortcut.other] + low
            ranges[output(shortcut.name)] = (0.0, high - low)
    return _with_relu(symbol, names), values, ranges


def mismatched(symbol, ranges, excluded, signed):
    """The convolutions with a sum whose summand MXNet would misread.

    Args:
        ranges: see :func:`without_sign`. excluded: names of operators that are in float.
        signed: whether all that is made an integer gets a sign.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    signs, found = [], []
    for node in nodes:
        name, above = node["name"], [number for number, *_ in node["inputs"]]
        signs.append(signed or _negative(name, ranges))
        if name in excluded:
            continue
        if node["op"] == CONVOLUTION:
            own = not _ends_without_sign(node)
            if _has_sum(node):
                summand = above[-1]
                wrong = not signs[summand] if own else _negative(nodes[summand]["name"], ranges)
                if wrong:
                    found.append(name)
                    continue
            signs[-1] = own
        elif node["op"] in PASSED_ON:
            signs[-1] = any(signs[number] for number in above)
    return found


def apart(symbol):
    """A joined graph with those sums as operators that cannot be a convolution's.

    They have a sign and are added to a convolution's result without: read with a sign, its upper
    half would be negative.
    """
    graph = json.loads(symbol.tojson())
    old, nodes, moved = graph["nodes"], [], {}

    def now(inputs):
        return [[moved[number], *more] for number, *more in inputs]

    for number, node in enumerate(old):
        node["inputs"] = now(node["inputs"])
        summand = node["inputs"][-1] if _has_sum(node) else None
        nodes.append(node)
        if summand and not _acts(node) and _is_unsigned(nodes[summand[0]]):
            name = node["name"]
            _cut_sum(node)
            add = {"op": "elemwise_add", "name": name, "inputs": [[len(nodes) - 1, 0, 0], summand]}
            node["name"] = name + "_alone"
            nodes.append(add)
        moved[number] = len(nodes) - 1
    graph["nodes"], graph["heads"] = nodes, now(graph["heads"])
    graph["arg_nodes"] = [k for k, node in enumerate(nodes) if node["op"] == "null"]
    graph.pop("node_row_ptr", None)
    return mx.sym.load_json(json.dumps(graph))


def _cut_sum(node):
    (joined,) = node["subgraphs"]
    (add,) = [each for each in joined["nodes"] if each["op"] in ("elemwise_add", "_Plus")]
    kept, summand = _parts(add, joined["nodes"])
    gone = sorted({joined["nodes"].index(add), summand})
    shift = {k: k - sum(g < k for g in gone) for k in range(len(joined["nodes"]))}
    joined["nodes"] = [each for k, each in enumerate(joined["nodes"]) if k not in gone]
    for each in joined["nodes"]:
        each["inputs"] = [[shift[k], *more] for k, *more in each["inputs"]]
    joined["heads"] = [[shift[kept], 0, 0]]
    joined["arg_nodes"] = [k for k, each in enumerate(joined["nodes"]) if each["op"] == "null"]
    joined.pop("node_row_ptr", None)
    node["attrs"].pop("with_sum")
    node["inputs"].pop()


def _parts(add, nodes):
    """The numbers of (what the convolution gives, the summand) of a sum in a joined operator."""
    first, second = (number for number, *_ in add["inputs"])
    return (second, first) if nodes[first]["op"] == "null" else (first, second)


def _is_unsigned(node):
    return node["op"] == CONVOLUTION and _ends_without_sign(node)


def _negative(name, ranges):
    return ranges.get(output(name), (-1.0, 1.0))[0] < 0


def output(name):
    """What MXNet calls an operator's output."""
    return name + "_output"


def flag(node, name, default="False"):
    """Whether an attribute of a node is set."""
    return node.get("attrs", {}).get(name, default).lower() in ("true", "1")


def _has_sum(node):
    return node["op"] == CONVOLUTION and flag(node, "with_sum")


def _acts(node):
    return flag(node, "with_act") or flag(node, "with_postsum_act")


def inner(node):
    """The nodes of what was joined to an operator; none for others."""
    return [each for graph in node.get("subgraphs", ()) for each in graph["nodes"]]


def parameters(node, kind):
    """What an operator of some kind inside a joined one reads, by the names outside."""
    nodes = inner(node)
    (reading,) = [each for each in nodes if each["op"] == kind]
    # inside, a 0 for the first output is put behind the name
    return [nodes[number]["name"][:-1] for number, *_ in reading["inputs"]]


def is_rectified(node):
    """Whether a convolution without a sum ends with a ReLU, bounded or not."""
    last = inner(node)[-1]
    relu = last["op"] == "Activation" and last["attrs"]["act_type"] == "relu"
    return not _has_sum(node) and (relu or (last["op"] == "clip" and _ends_without_sign(node)))


def _ends_without_sign(node):
    """Whether a convolution's integers have no sign: oneDNN's choice behind these activations."""
    last = inner(node)[-1]
    if last["op"] == "Activation":
        return last["attrs"]["act_type"] in ("relu", "sigmoid", "softrelu")
    return last["op"] == "clip" and float(last["attrs"]["a_min"]) == 0


def _offset(node, values):
    """The parameter that is added to a convolution's result, or None."""
    kinds = [each["op"] for each in inner(node)]
    read = parameters(node, "BatchNorm" if "BatchNorm" in kinds else "Convolution")
    return read[2] if len(read) > 2 and read[2] in values else None  # some have no bias


def _with_relu(symbol, names):
    """A joined graph with ReLUs behind some convolutions that have no activation."""
    graph = json.loads(symbol.tojson())
    for node in graph["nodes"]:
        if node["name"] in names:
            (joined,) = node["subgraphs"]
            last = joined["heads"][0]
            act = {
                "op": "Activation",
                "name": node["name"] + "_relu",
                "attrs": {"act_type": "relu"},
                "inputs": [last],
            }
            joined["nodes"].append(act)
            joined["node_row_ptr"].append(joined["node_row_ptr"][-1] + 1)
            joined["heads"] = [[len(joined["nodes"]) - 1, 0, 0]]
            node.setdefault("attrs", {})["with_act"] = "true"
    return mx.sym.load_json(json.dumps(graph))
