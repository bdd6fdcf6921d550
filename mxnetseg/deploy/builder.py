"""An ONNX graph while it is written: constants are folded, equal operators shared."""

from typing import NamedTuple, Optional, Tuple

import numpy as np

from ..errors import MXNetSegError
from ..packages import onnx, onnxruntime

# (version of the format) for an opset: the oldest one that allows it, for old runtimes
IR_VERSIONS = {17: 8, 18: 8, 19: 9, 20: 9, 21: 10}

FOLDED_VALUES = 1 << 24  # larger results are left to the runtime: the file must not swell


class Value(NamedTuple):
    """A tensor of the graph.

    Attributes:
        name: in the ONNX file.
        dims: sizes; None for what is only known when the network runs.
        dtype: NumPy's name.
    """

    name: str
    dims: Tuple[Optional[int], ...]
    dtype: str = "float32"


def unsupported(node, detail=""):
    """The error for a layer that cannot be exported; ``detail``: with which argument."""
    return MXNetSegError(
        f"The layer {node.name} uses MXNet's operator {node.op}{detail and ' with ' + detail}, "
        "for which the ONNX exporter has no conversion: add one to mxnetseg/deploy/operators.py."
    )


def adder(table):
    """The decorator that enters a function into ``table`` under the names of operators."""

    def register(*names):
        def add(function):
            table.update(dict.fromkeys(names, function))
            return function

        return add

    return register


class Builder:
    """Collects operators, each behind what it reads.

    Args:
        opset: version of ONNX's operators.
    """

    def __init__(self, opset=17):
        self.opset = opset
        self.nodes = []
        self.layer = ""  # what new operators are named after, where they are one layer's
        self._onnx, self._runtime = onnx(), onnxruntime()
        self._constants = {}  # name -> array
        self._shared = {}  # what has been added already -> its names
        self._sizes = {}  # (name, axis) -> name of the size, where it is known without the tensor
        self._names = set()

    # --- constants ---------------------------------------------------------------------------

    def constant(self, array, name=None):
        """A tensor of the file; returns its name."""
        array = np.ascontiguousarray(array)
        key = None
        if array.size <= 64:
            key = array.dtype.str, array.shape, array.tobytes()
            if key in self._shared:
                return self._shared[key]
        name = self.unique(name or "constant")
        self._constants[name] = array
        if key:
            self._shared[key] = name
        return name

    def integers(self, *values):
        """int64 (n,), as ONNX wants axes and sizes."""
        return self.constant(np.array(values, np.int64))

    def scalar(self, value, dtype="float32"):
        """A number that is combined with a tensor of ``dtype``."""
        return self.constant(np.array(value, dtype))

    def array(self, name):
        """The values of a constant, or None."""
        return self._constants.get(name)

    # --- sizes -------------------------------------------------------------------------------

    def size(self, value, axis):
        """The size of an axis, int64 (1,)."""
        if value.dims[axis] is not None:
            return self.integers(value.dims[axis])
        axis %= len(value.dims)
        known = self._sizes.get((value.name, axis))
        return known or self.add("Shape", value.name, start=axis, end=axis + 1)

    def know_size(self, name, axis, size):
        """Let an axis of tensor ``name`` have the size ``size``, int64 (1,)."""
        self._sizes[name, axis] = size

    def shape(self, *sizes):
        """int64 (n,) of numbers and of int64 (1,)."""
        parts = [self.integers(s) if isinstance(s, int) else s for s in sizes]
        return self.add("Concat", *parts, axis=0)

    def ratio(self, size, divisor, up=False):
        """size / divisor, rounded down or up; int64 (1,), size not negative."""
        if up:
            size = self.add("Add", size, self.integers(divisor - 1))
        return self.add("Div", size, self.integers(divisor))

    # --- operators ---------------------------------------------------------------------------

    def add(self, operator, *inputs, outputs=1, **attributes):
        """Add an operator.

        Args:
            inputs: names or Values; None where one is left out.
            outputs: how many it has.

        Returns:
            The name of its output, or a list if there are several.
        """
        inputs = [getattr(i, "name", i) or "" for i in inputs]
        while inputs and not inputs[-1]:
            inputs.pop()  # ONNX Runtime joins no convolution whose bias has an empty name
        key = operator, tuple(inputs), outputs, repr(sorted(attributes.items()))
        if key not in self._shared:
            if inputs and all(i in self._constants or not i for i in inputs):
                self._shared[key] = self._folded(operator, inputs, outputs, attributes)
            if self._shared.get(key) is None:
                self._shared[key] = self._added(operator, inputs, outputs, attributes)
        names = self._shared[key]
        return names[0] if outputs == 1 else list(names)

    def cast(self, x, dtype):
        """``x`` as another type."""
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", x, to=kind)

    def _added(self, operator, inputs, outputs, attributes):
        names = [self.unique(self.layer or operator) for _ in range(outputs)]
        node = self._onnx.helper.make_node(operator, inputs, names, name=names[0], **attributes)
        self.nodes.append(node)
        return names

    def _folded(self, operator, inputs, outputs, attributes):
        """What an operator makes of constants, as constants; None if that is too large."""
        helper = self._onnx.helper
        given = {i: self._constants[i] for i in inputs if i}
        names = [f"output{k}" for k in range(outputs)]
        graph = helper.make_graph(
            [helper.make_node(operator, inputs, names, **attributes)],
            "constant",
            [self._info(name, array.dtype.name, array.shape) for name, array in given.items()],
            [helper.make_empty_tensor_value_info(name) for name in names],
        )
        session = self._runtime.InferenceSession(
            self._model(graph).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        results = session.run(None, given)
        if sum(result.size for result in results) > FOLDED_VALUES:
            return None
        return [self.constant(result, self.layer or operator) for result in results]

    def name(self, value, name):
        """A Value that is the same under a reserved name."""
        self.nodes.append(self._onnx.helper.make_node("Identity", [value.name], [name], name=name))
        return value._replace(name=name)

    def reserve(self, *names):
        """Keep names free for :meth:`name`."""
        self._names.update(names)

    def unique(self, name):
        """A name that nothing has yet, like ``name``."""
        number, wanted = 1, name
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name

    # --- the file ----------------------------------------------------------------------------

    def model(self, inputs, outputs, metadata, prose=""):
        """The ONNX model.

        Args:
            inputs, outputs: lists of (name, dtype, sizes); a word for a size that may vary.
            metadata: {key: text}. prose: how to use it.

        Raises:
            MXNetSegError: it is larger than a file of this format may be.
        """
        self._drop_unused({name for name, *_ in outputs})
        used = {name for node in self.nodes for name in node.input}
        helper, numpy_helper = self._onnx.helper, self._onnx.numpy_helper
        constants = {name: array for name, array in self._constants.items() if name in used}
        size = sum(array.nbytes for array in constants.values())
        if size > 2_000_000_000:
            raise MXNetSegError(
                f"The network's parameters take {size / 1e9:.1f} GB; an ONNX file holds up to 2."
            )
        graph = helper.make_graph(
            self.nodes,
            "mxnetseg",
            [self._info(*item) for item in inputs],
            [self._info(*item) for item in outputs],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
            doc_string=prose,
        )
        model = self._model(graph)
        model.doc_string = prose
        helper.set_model_props(model, metadata)
        return model

    def _drop_unused(self, wanted):
        """Forget the operators that lead to none of the tensors ``wanted``."""
        kept = []
        for node in reversed(self.nodes):
            if wanted.intersection(node.output):
                kept.append(node)
                wanted.update(node.input)
        self.nodes = kept[::-1]

    def _model(self, graph):
        helper = self._onnx.helper
        return helper.make_model(
            graph,
            producer_name="mxnetseg",
            ir_version=IR_VERSIONS[self.opset],
            opset_imports=[helper.make_opsetid("", self.opset)],
        )

    def _info(self, name, dtype, sizes):
        kind = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self._onnx.helper.make_tensor_value_info(name, kind, sizes)
