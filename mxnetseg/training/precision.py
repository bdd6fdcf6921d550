"""Mixed precision: what it goes with, the network that is trained, and the scale of the loss.

Micikevicius et al., Mixed Precision Training, ICLR 2018. Parameters, their gradients and updates,
the loss and the validation stay in float32.
"""

import math

import mxnet as mx
from mxnet import autograd, gluon

from .. import runtime
from ..errors import UsageError
from .lowering import lower

SCALER = "precision:scaler"


def check(experiment, contexts):
    """UsageError if ``train.precision`` does not go with the devices or the other settings."""
    precision = experiment.train.precision
    if precision == "float32":
        return
    on_cpu = any(context.device_type != "gpu" for context in contexts)
    if precision == "float16" and on_cpu:
        raise UsageError(
            "train.precision=float16 is for GPUs: MXNet cannot compute in it on a CPU. Use "
            "bfloat16 on a CPU with AVX-512, or float32."
        )
    if precision == "bfloat16":
        if any(context.device_type == "gpu" for context in contexts):
            raise UsageError(
                "train.precision=bfloat16 is for CPUs: MXNet cannot compute in it on a GPU. Use "
                "float16 there, or float32."
            )
        if not (runtime.has_avx512() and mx.runtime.Features().is_enabled("MKLDNN")):
            raise UsageError(
                "train.precision=bfloat16 needs a processor with AVX-512 and an MXNet with oneDNN, "
                "which are not here. Use float32."
            )
    if experiment.model.norm == "sync_batch":
        raise UsageError(
            "model.norm=sync_batch computes operator by operator, but train.precision="
            f"{precision} needs the network's whole graph. Use model.norm=batch or group, or "
            "float32."
        )


def network(net, precision):
    """What trains in ``net``'s place: images -> its outputs, in float32.

    Args:
        net: a SegmentationModel as it shall train: frozen, outputs enlarged or not.
        precision: "float32": that is ``net`` itself. Else a graph that shares its parameters.
    """
    if precision == "float32":
        return net
    images = mx.sym.var("data", dtype="float32")
    with autograd.train_mode():
        outputs = mx.sym.Group(list(net(images)))
    lowered = Lowered(lower(outputs, precision), [images], params=net.collect_params())
    lowered.hybridize(static_alloc=True, static_shape=True)
    return lowered


class Lowered(gluon.SymbolBlock):
    """A graph of outputs; gives a tuple as networks do, also of one."""

    def forward(self, x, *args):
        outputs = super().forward(x, *args)
        return tuple(outputs) if isinstance(outputs, (list, tuple)) else (outputs,)


class Unscaled:
    """No scale of the loss: what :class:`Scaler` is where none is needed.

    Attributes:
        scale: what the loss is multiplied by at the next step.
        skipped: steps of the whole run that were not made.
    """

    scale, skipped = 1.0, 0

    def head_gradients(self, parts):
        """What ``autograd.backward`` begins with, for a loss's parts on every device."""
        return None

    def accepts(self, norm):
        """Whether a step is made whose gradients have this norm (1,)."""
        return True

    def facts(self):
        """What a record of log.jsonl tells."""
        return {}

    def state(self):
        """{name: array}, for a checkpoint."""
        return {}

    def load(self, arrays):
        """Go on from :meth:`state`; a run that had no scale begins with the usual one."""


class Scaler(Unscaled):
    """The loss is scaled, so that small gradients are not 0 in float16.

    A step whose gradients overflow is skipped, and the scale halved. After ``growth`` steps without
    one it is doubled. The numbers are those of MXNet's ``contrib.amp.loss_scaler``, which halves
    the scale one step late and keeps its state to itself.

    Attributes:
        clean: steps since the scale changed.
    """

    largest = 2.0**24

    def __init__(self, scale=2.0**16, growth=2000):
        self.scale, self.growth, self.clean, self.skipped = scale, growth, 0, 0

    def head_gradients(self, parts):
        return [mx.nd.full(x.shape, self.scale, ctx=x.context) for x in parts]

    def accepts(self, norm):
        if not math.isfinite(norm.asscalar()):  # it is finite if all gradients are
            self.scale, self.clean = self.scale / 2, 0
            self.skipped += 1
            return False
        self.clean += 1
        if self.clean == self.growth:
            self.scale, self.clean = min(2 * self.scale, self.largest), 0
        return True

    def facts(self):
        return {"loss_scale": self.scale, "skipped_steps": self.skipped}

    def state(self):
        return {SCALER: mx.nd.array([self.scale, self.clean, self.skipped])}

    def load(self, arrays):
        if SCALER in arrays:
            self.scale, *counts = arrays[SCALER].asnumpy().tolist()
            self.clean, self.skipped = map(int, counts)


def scaler(precision):
    """The Scaler of a precision. bfloat16 has the exponents of float32: nothing is too small."""
    return Scaler() if precision == "float16" else Unscaled()
