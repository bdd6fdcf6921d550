"""Activations by name."""

from mxnet import init
from mxnet.gluon import nn

from ..registry import unknown
from .form import takes_operator


def _clip6(F, x):
    return F.clip(x, 0, 6)


def _hard_sigmoid(F, x):
    return F.clip(x + 3, 0, 6) / 6


def _selu(F, x):
    # Not LeakyReLU's own "selu": in MXNet 1.9.1 its gradient is wrong for x < 0.
    return 1.0507009873554805 * F.LeakyReLU(x, act_type="elu", slope=1.6732632423543772)


_FUNCTIONS = {
    "relu": lambda F, x: F.Activation(x, act_type="relu"),
    "sigmoid": lambda F, x: F.Activation(x, act_type="sigmoid"),
    "softrelu": lambda F, x: F.Activation(x, act_type="softrelu"),
    "softsign": lambda F, x: F.Activation(x, act_type="softsign"),
    "tanh": lambda F, x: F.Activation(x, act_type="tanh"),
    "leaky": lambda F, x: F.LeakyReLU(x, act_type="leaky", slope=0.01),
    "selu": _selu,
    "elu": lambda F, x: F.LeakyReLU(x, act_type="elu", slope=1.0),
    "gelu": lambda F, x: F.LeakyReLU(x, act_type="gelu"),
    "relu6": _clip6,
    "hard_sigmoid": _hard_sigmoid,
    "swish": lambda F, x: x * F.sigmoid(x),
    "hard_swish": lambda F, x: x * _hard_sigmoid(F, x),
    "mish": lambda F, x: x * F.tanh(F.Activation(x, act_type="softrelu")),
}


def relu(F, x):
    """max(x, 0), as the operator that oneDNN fuses into the convolution before it."""
    return F.Activation(x, act_type="relu")


class Activation(nn.HybridBlock):
    """An activation without parameters: any shape in, the same shape out."""

    def __init__(self, name):
        super().__init__()
        if name not in _FUNCTIONS:
            raise unknown("activation", name, [*_FUNCTIONS, "prelu"])
        self._name = name

    def hybrid_forward(self, F, x):
        return _FUNCTIONS[self._name](F, x)

    def __repr__(self):
        return f"Activation({self._name})"


class PReLU(nn.HybridBlock):
    """max(x, 0) + alpha min(x, 0), alpha learned, 0.25 at the start.

    Composed from ReLUs: MXNet 1.9.1's own PReLU, hybridised, multiplies alpha's gradient by alpha.

    Args:
        channels: of x, for an alpha each; 1: one alpha for all.
    """

    def __init__(self, channels=1):
        super().__init__()
        self.alpha = self.params.get("alpha", shape=(channels,), init=init.Constant(0.25))

    def hybrid_forward(self, F, x, alpha):
        if takes_operator():
            return F.LeakyReLU(x, alpha, act_type="prelu")
        negative = F.broadcast_mul(F.relu(-x), F.reshape(alpha, (1, -1, 1, 1)))
        return F.relu(x) - negative
