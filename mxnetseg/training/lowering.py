"""A network's graph in half precision where that pays, in float32 elsewhere."""

import json

import mxnet as mx

FLOAT32 = "0"  # its number in MXNet

# Computed in half precision whatever comes in: nearly all the work of a network.
LOW = ("Convolution", "FullyConnected")

# Computed in the precision of their maps; in float32 where these differ.
FOLLOWING = ("BatchNorm", "Activation", "Pooling", "Concat", "elemwise_add", "relu")

# How many inputs are maps; the others are parameters that stay in float32.
MAPS = {"BatchNorm": 1}


def lower(symbol, dtype):
    """The graph with casts (``amp_cast``) between float32 and ``dtype``; parameters stay float32.

    An operator that is not named above gets float32.

    Args:
        symbol: of float32 inputs and parameters.
        dtype: "float16" or "bfloat16".

    Returns:
        A Symbol with the same arguments, auxiliary states and outputs.
    """
    content = json.loads(symbol.tojson())
    graph = _Rewritten(dtype)
    for node in content["nodes"]:
        graph.add(node)
    heads = [graph.cast(tuple(head[:2]), "float32") for head in content["heads"]]
    nodes = graph.nodes
    return mx.sym.load_json(
        json.dumps(
            {
                "nodes": nodes,
                "arg_nodes": [i for i, node in enumerate(nodes) if node["op"] == "null"],
                "heads": [[*head, 0] for head in heads],
                "attrs": content["attrs"],
            }
        )
    )


class _Rewritten:
    """The nodes of a new graph; outputs are pairs (node, number of its output)."""

    def __init__(self, dtype):
        self.dtype, self.nodes = dtype, []
        self._new = []  # of each old node: the new one
        self._low = set()  # old outputs in half precision
        self._casts = {}  # (old output, dtype) -> new output

    def add(self, node):
        """Add a node of the old graph."""
        inputs = [tuple(entry[:2]) for entry in node["inputs"]]
        maps = MAPS.get(node["op"], len(inputs))
        low = node["op"] in LOW or (
            node["op"] in FOLLOWING and _suits(node) and self._low.issuperset(inputs[:maps])
        )
        dtypes = [self.dtype if low and k < maps else "float32" for k in range(len(inputs))]
        sources = [[*self.cast(*pair), 0] for pair in zip(inputs, dtypes)]
        if low:
            self._low.add((len(self._new), 0))
        if node["op"] == "null":  # MXNet cannot tell what is in front of a cast
            node = {**node, "attrs": {**node.get("attrs", {}), "__dtype__": FLOAT32}}
        self._new.append(len(self.nodes))
        self.nodes.append({**node, "inputs": sources})

    def cast(self, output, dtype):
        """The new output for an old one, in ``dtype``."""
        if (output in self._low) == (dtype != "float32"):
            return self._new[output[0]], output[1]
        if (output, dtype) not in self._casts:
            source = self._new[output[0]], output[1]
            self._casts[output, dtype] = len(self.nodes), 0
            self.nodes.append(
                {
                    "op": "amp_cast",
                    "name": f"{self.nodes[source[0]]['name']}_{output[0]}_{output[1]}_{dtype}",
                    "attrs": {"dtype": dtype},
                    "inputs": [[*source, 0]],
                }
            )
        return self._casts[output, dtype]


def _suits(node):
    """Whether the operator with these arguments can be computed in half precision."""
    return node["op"] != "Activation" or node.get("attrs", {}).get("act_type") == "relu"
