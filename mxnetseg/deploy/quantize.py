"""An exported network in 8-bit integers: calibrated on images, sensitive layers left in float."""

import tempfile
from pathlib import Path

from ..errors import MXNetSegError
from ..inference.onnxfile import NetworkFile
from ..packages import onnx
from . import calibrate
from .sensitivity import Quantized, operators, part_of, summary


class Quantizer:
    """Makes a network's integer version, with any of its layers in float.

    Args:
        file: NetworkFile in float32.
        images: iterator of normalised images, float32 (1, C, H, W), on which it is calibrated.
        runtime: that the result is for, see :mod:`~mxnetseg.deploy.calibrate`.

    Raises:
        UsageError: a package is missing. MXNetSegError: the network cannot be quantised.
    """

    def __init__(self, file, images, runtime="onnxruntime"):
        self.source = file
        who, calibrated = calibrate.FOR[runtime]
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "float.onnx"
            try:
                calibrate.fold_norms(file.model, plain)
                self._whole = calibrated(plain, file.meta["inner"]["image"], images)
            except MXNetSegError:
                raise
            except Exception as error:  # of many kinds
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise MXNetSegError(f"{who} cannot quantise the network: {reason}") from None
            self._float = onnx().load(str(plain))
        _set_apart(self._whole.graph, self._float.graph)
        self.groups = _groups(self._float.graph)

    def network(self, floating=()):
        """The Quantized in which some layers are in float."""
        kept = set(operators(self.groups, floating))
        model = _with_float(self._whole, self._float, kept)
        meta = {**self.source.meta, "precision": "int8"}
        file = NetworkFile(model, meta, self.source.path)
        return Quantized(file, summary(self.groups, floating))


def surrounded(model, quantized, meta):
    """The whole exported model with a quantised network inside; ``meta``: further metadata."""
    package = onnx()
    image, logits = (quantized.file.meta["inner"][key] for key in ("image", "logits"))
    head = _ancestors(model.graph, {image})
    outputs = {value.name for value in model.graph.output}
    tail = _ancestors(model.graph, outputs, {image, logits})
    tail = [node for node in tail if node not in head]
    inner = package.ModelProto()
    inner.CopyFrom(quantized.file.model)
    _rename(inner.graph, "int8/", {image, logits})
    new = package.ModelProto()
    new.CopyFrom(model)
    del new.graph.node[:]
    new.graph.node.extend([*head, *inner.graph.node, *tail])
    used = {name for node in new.graph.node for name in node.input}
    tensors = [t for t in (*model.graph.initializer, *inner.graph.initializer) if t.name in used]
    del new.graph.initializer[:]
    new.graph.initializer.extend(tensors)
    del new.opset_import[:]
    new.opset_import.extend(inner.opset_import)
    new.ir_version = max(model.ir_version, inner.ir_version)
    kept = {item.key: item.value for item in model.metadata_props}
    del new.metadata_props[:]
    package.helper.set_model_props(new, {**kept, **meta})
    return new


def _groups(graph):
    """``groups`` of a quantizer, in order; operators are called by their first outputs.

    A part is called after the first two words of its layers' names: ``backbone.layer1``. Operators
    without parameters belong to the layer before them.
    """
    groups, part, layer = {}, "input", "input"
    for node in graph.node:
        if "." in node.output[0]:
            part, layer = part_of(node.output[0]), node.output[0]
        groups.setdefault(part, {}).setdefault(layer, []).append(node.output[0])
    return groups


def _set_apart(whole, plain):
    """Rename the parameters of ``whole`` that calibration has changed: ``plain`` keeps its own."""
    known = {tensor.name: tensor for tensor in plain.initializer}
    changed = [t for t in whole.initializer if t.name in known and t != known[t.name]]
    names = {tensor.name: f"calibrated/{tensor.name}" for tensor in changed}
    for tensor in changed:
        tensor.name = names[tensor.name]
    for node in whole.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _with_float(whole, plain, kept):
    """``whole`` with those of its operators as in ``plain`` whose first outputs are ``kept``.

    ONNX Runtime leaves a ReLU out where the range of the integers does its work, and gives its name
    to what came before it. So float operators read such a tensor from behind the integers.
    """
    package = onnx()
    originals = {name: node for node in plain.graph.node for name in node.output}
    kept = kept & set(originals)
    integers = {n.output[0]: n for n in whole.graph.node if n.output[0] not in kept}
    clipped = {
        name for name, node in integers.items()
        if name in originals and node.op_type != originals[name].op_type
    }  # fmt: skip
    behind = _behind_integers(whole.graph)
    makers = {}
    for name, node in originals.items():
        if clipped.intersection(node.input):
            copy = package.NodeProto()
            copy.CopyFrom(node)
            copy.input[:] = [behind[i] if i in clipped else i for i in node.input]
            node = copy
        makers[name] = node
    for node in integers.values():
        makers.update(dict.fromkeys(node.output, node))
    nodes, ready = [], set()
    pending = [value.name for value in whole.graph.output]
    while pending:  # depth first: every node behind what it reads
        node = makers.get(pending[-1])
        if node is None or pending[-1] in ready:
            pending.pop()
            continue
        missing = [name for name in node.input if name in makers and name not in ready]
        if missing:
            pending.extend(missing)
        else:
            nodes.append(node)
            ready.update(node.output)
    new = package.ModelProto()
    new.CopyFrom(whole)
    del new.graph.node[:]
    new.graph.node.extend(nodes)
    wanted = {name for node in nodes for name in node.input} - ready
    tensors = {t.name: t for t in (*plain.graph.initializer, *whole.graph.initializer)}
    del new.graph.initializer[:]
    new.graph.initializer.extend(t for name, t in tensors.items() if name in wanted)
    del new.graph.value_info[:]
    return new


def _behind_integers(graph):
    """{tensor: the same after it was an integer} of all that are made integers."""
    integers = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "QuantizeLinear"}
    return {
        integers[node.input[0]]: node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in integers
    }


def _ancestors(graph, wanted, known=()):
    """The nodes that lead to the tensors ``wanted``, from those that are ``known``."""
    wanted, found = set(wanted) - set(known), []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            found.append(node)
            wanted.update(set(node.input) - set(known))
    return found[::-1]


def _rename(graph, prefix, but):
    """Put a prefix before the names of all tensors of a graph ``but`` those."""

    def new(name):
        return name if not name or name in but else prefix + name

    for node in graph.node:
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
        node.name = prefix + node.name
    for tensor in graph.initializer:
        tensor.name = new(tensor.name)
