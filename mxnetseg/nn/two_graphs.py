"""A block with one graph for training and one for inference."""

from mxnet import autograd
from mxnet.gluon import nn


class TwoGraphBlock(nn.HybridBlock):
    """A HybridBlock that is traced twice, for training and for inference, when it is hybridised.

    Gluon traces once, in the mode of the first call. Here a layer may do in training what would
    only be a burden in inference: it looks at ``autograd.is_training()`` in ``hybrid_forward``.
    """

    _traced_for_training = False
    _other_graph = None

    def forward(self, x, *args):
        if self._active:
            self._choose_graph(autograd.is_training())
        return super().forward(x, *args)

    def export(self, *args, **kwargs):
        """Gluon's, of the inference graph."""
        self._choose_graph(training=False)
        return super().export(*args, **kwargs)

    def _choose_graph(self, training):
        if training == self._traced_for_training:
            return
        names = ("_cached_graph", "_cached_op", "_cached_op_args", "_in_format", "_out_format")
        current = [getattr(self, name) for name in names]
        other = self._other_graph or [(), None, [], None, None]
        for name, value in zip(names, other):
            setattr(self, name, value)
        self._other_graph, self._traced_for_training = current, training

    def _clear_cached_op(self):
        super()._clear_cached_op()
        self._other_graph = None
