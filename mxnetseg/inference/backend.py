"""The network as evaluation sees it: uint8 pixels in, logits at the network's resolution out.

A backend is what an evaluation needs of a network:

* ``num_classes``, ``align_corners`` (how its logits are upsampled), ``devices`` (how many);
* ``fill``: the colour, in 0..255, that normalisation turns into 0;
* ``runtime``: what runs it, for results: {"name", "version", "precision"};
* ``padded_size(height, width)``: the size that it sees for an image;
* ``backend(images, padded, context)``: uint8, or float32 in 0..255, (N, H, W, C) -> a handle at
  once; ``read(handle)`` of :mod:`~mxnetseg.inference.logits` waits for float32 logits (N,
  num_classes, h, w).

The evaluator and the predictor are given one; they neither build it nor know what is behind. This
one runs it in MXNet; :mod:`~mxnetseg.inference.runtimes` has others.
"""

import threading

import mxnet as mx
import numpy as np
from mxnet import gluon

from .. import runtime
from ..errors import UsageError
from ..graph import read as read_graph
from ..models.base import valid_size
from ..nn import Normalize

# Of the logits' standard deviation. Right ones differ by 1e-5, by 2e-4 where a network with random
# parameters amplifies rounding; in wrong ones layers have each other's inputs or parameters.
TOLERANCE = 1e-3

# A static graph is up to a fifth faster, but needs half more memory and hardly returns what an
# input of another size took. So inputs of more pixels than this go without.
STATIC_PIXELS = 2_400_000

# oneDNN 2.4 (of MXNet 1.9.1) computes sizes of 1 x 1 convolutions modulo 2**32, and the process
# dies of a division by zero where the output has a multiple of this many values.
FATAL_VALUES = 1 << 27
MARGIN = 32  # columns of padding that make such a size harmless


class MXNetBackend:
    """Runs a network in MXNet, inference only; its flags and hybridised graph are not touched.

    The graph is traced anew and shares the network's parameters. While the parameters change (in
    training) make a new one for every evaluation: that takes a fraction of a second.

    Attributes:
        num_classes, align_corners: of the network. fill: the mean colour.
        devices: how many there are. fused: whether layers are joined.

    Args:
        net: a SegmentationModel with parameters on ``contexts``.
        contexts: devices; one, or several that are used in parallel (see ``context``).
        mean, std: normalisation of RGB images in 0 ... 1.
        fuse: join convolution, norm and activation (CPU only). Networks with many light layers
            gain most: MobileNetV2 is three times as fast. Where MXNet cannot join the layers of a
            network correctly, it runs as it is.
        static: plan memory and shapes once for each size of input; None: for small ones.
    """

    def __init__(self, net, contexts, mean, std, fuse=True, static=None):
        self.net = net
        self.num_classes, self.align_corners = net.num_classes, net.align_corners
        self.contexts = list(contexts)
        runtime.share_cores(self.contexts)
        self.devices = len(self.contexts)
        self.fill = [255 * m for m in mean]
        self.static = static
        self.runtime = {
            "name": "mxnet",
            "version": mx.__version__,
            "precision": "float32",
            "threads": runtime.thread_limit() if self.devices == 1 else 1,  # see share_cores
        }
        self.normalize = Normalize(mean, std)
        self.normalize.initialize(ctx=self.contexts)
        self.normalize.hybridize()
        self._channels = len(mean)
        self._on_cpu = all(runtime.on_host(c) for c in self.contexts)
        self._data = mx.sym.var("data", dtype="float32")
        self._symbol = net.logits(mx.sym, self._data)[0]
        self._pointwise = _pointwise_convolutions(self._symbol) if self._on_cpu else None
        self._sizes, self._graphs, self._lock = {}, {}, threading.Lock()
        self.fused = bool(fuse and self._on_cpu and self._fusing_works())
        self.runtime["fused"] = self.fused

    def _graph(self, static, fused):
        """The network as a block of its own that shares the parameters."""
        with self._lock:
            if (static, fused) not in self._graphs:
                # Not the block's own optimize_for: that hands the parameters' shapes over too, and
                # MXNet 1.9.1 assigns them to the inputs in their order from before the fusion. The
                # order differs where a convolution is the second term of a sum.
                symbol = self._symbol.optimize_for("MKLDNN") if fused else self._symbol
                graph = gluon.SymbolBlock(symbol, [self._data], params=self.net.collect_params())
                graph.hybridize(static_alloc=static, static_shape=static)
                self._graphs[static, fused] = graph
            return self._graphs[static, fused]

    def _fusing_works(self):
        """Whether the fused graph proves to be right on a small image: MXNet guarantees nothing."""
        if not mx.runtime.Features().is_enabled("MKLDNN"):
            return False
        height, width = self.net.valid_size(48, 80)
        values = np.random.RandomState(0).standard_normal((1, self._channels, height, width))
        x = mx.nd.array(values, ctx=self.contexts[0])
        try:
            found = self._graph(True, True)(x).asnumpy()
        except mx.MXNetError:
            return False
        wanted = self._graph(True, False)(x).asnumpy()
        return bool(np.abs(found - wanted).max() <= TOLERANCE * wanted.std())

    def _forward(self, x):
        count, _, height, width = x.shape
        static = self.static
        if static is None:
            static = count * height * width <= STATIC_PIXELS
        graph = self._graph(static, self.fused)
        if not static:
            self._graphs.pop((True, self.fused), None)  # its memory is needed now
        if count > 1 and self._is_fatal(count, height, width):
            return mx.nd.concat(*(graph(x[k : k + 1]) for k in range(count)), dim=0)
        return graph(x)

    def _is_fatal(self, count, height, width):
        """Whether oneDNN would kill the process on a batch of this size."""
        if self._pointwise is None or count * height * width < FATAL_VALUES >> 9:
            return False
        key = count, height, width
        if key not in self._sizes:
            shapes = self._pointwise.infer_shape(data=(count, self._channels, height, width))[1]
            # channels are padded to whole vectors or blocks
            self._sizes[key] = any(
                -(-c // block) * block * n * h * w % FATAL_VALUES == 0
                for n, c, h, w in shapes
                for block in (1, 16, 32, 64)
            )
        return self._sizes[key]

    def __call__(self, images, padded=None, context=0):
        """Start the network on a batch; does not wait for the result.

        Args:
            images: uint8 (N, H, W, 3), RGB; or float32 in 0..255 and other channels, as the data
                set has them.
            padded: (height, width) that the images are padded to first, right and below, with the
                mean colour. Then and by default to what the network takes.
            context: which of the devices.

        Returns:
            float32 NDArray (N, num_classes, h, w).

        Raises:
            UsageError: the network takes only inputs smaller than this.
        """
        return self._forward(self._prepared(images, padded, context))

    def normalized(self, images, padded=None):
        """What the network is given for a batch: float32 (N, C, rows, columns)."""
        return self._prepared(images, padded).asnumpy()

    def run(self, x):
        """The logits for what :meth:`normalized` gave, on the first device."""
        return self._forward(mx.nd.array(x, ctx=self.contexts[0])).asnumpy()

    def _prepared(self, images, padded=None, context=0):
        height, width = images.shape[1:3]
        rows, columns = self.padded_size(*(padded or (height, width)))
        x = self.normalize.load(images, self.contexts[context])
        if (rows, columns) != (height, width):
            margin = (0, 0, 0, 0, 0, rows - height, 0, columns - width)
            x = mx.nd.pad(x, mode="constant", constant_value=0, pad_width=margin)
        return x

    def padded_size(self, height, width):
        """The size that the network sees for an image of (height, width)."""
        rows, columns = fitting_size(self.net, height, width, type(self.net).__name__)
        if not self.net.fixed_size:
            for _ in range(8):
                if not self._is_fatal(1, rows, columns):
                    break
                rows, columns = self.net.valid_size(rows, columns + MARGIN)
        return rows, columns


def fitting_size(rules, height, width, name):
    """The size within a network's rules that holds (height, width); UsageError if none does."""
    rows, columns = valid_size(rules, height, width)
    if rows < height or columns < width:
        raise UsageError(
            f"{name} takes inputs of {rows}x{columns} only, not {height}x{width}. Evaluate with "
            f"sliding windows: mode slide, crop size {rows}x{columns}."
        )
    return rows, columns


def _pointwise_convolutions(symbol):
    """The 1 x 1 convolutions of a graph as one symbol with an output for each, or None."""
    internals = symbol.get_internals()
    found = [
        internals[node.first]
        for node in read_graph(symbol).nodes
        if node.op == "Convolution" and node.attrs["kernel"] == (1, 1)
    ]
    return mx.sym.Group(found) if found else None
