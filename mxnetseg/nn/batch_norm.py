"""Batch norm, as MXNet and as PyTorch keep its running statistics, on one device or several."""

import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn

from ..errors import UsageError
from . import devices


class BatchNorm(nn.BatchNorm):
    """Batch norm over (N, C, H, W): epsilon 1e-5, running statistics with momentum 0.9.

    Attributes:
        unbiased: average the batch's *unbiased* variance, n / (n - 1) times the other, into
            ``running_var`` in training, as PyTorch does (see :func:`unbiased_variance`). MXNet's
            operator takes the biased one, which differs much where a norm sees few values, as
            behind a pooling pyramid. Outputs and gradients are the same.
        synchronised: whether training takes the statistics of all devices' images together (see
            :func:`~mxnetseg.nn.devices.forward`). Then running statistics move in the forward
            pass, all others' in the backward pass.
    """

    unbiased = False
    synchronised = False

    def __init__(self, channels, epsilon=1e-5, momentum=0.9):
        super().__init__(in_channels=channels, epsilon=epsilon, momentum=momentum)

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        frozen = self._kwargs["use_global_stats"]
        if frozen or not autograd.is_training():
            return super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        if self.synchronised and devices.gather():
            return self._over_devices(x, gamma, beta, running_mean, running_var)
        if self.synchronised and len(self.gamma.list_ctx()) > 1:
            raise UsageError(
                "A network with synchronised norms trains on several devices through "
                "nn.forward(net, images) only, images being one array per device."
            )
        if not self.unbiased:
            return super().hybrid_forward(F, x, gamma, beta, running_mean, running_var)
        # momentum 1: the operator leaves the running values alone
        options = dict(self._kwargs, momentum=1.0, output_mean_var=True)
        y, *statistics = F.BatchNorm(x, gamma, beta, running_mean, running_var, **options)
        mean, inverse_std = (F.BlockGrad(s) for s in statistics)
        shape = F.shape_array(x)
        n, h, w = (F.slice_axis(shape, axis=0, begin=i, end=i + 1) for i in (0, 2, 3))
        dtype = np.dtype(self.gamma.dtype).name
        count = F.cast(n * h * w, dtype)
        correction = F.broadcast_div(count, F.broadcast_maximum(count - 1, F.ones_like(count)))
        variance = F.broadcast_mul(1 / F.square(inverse_std) - options["eps"], correction)
        # A graph traced in training may be run for inference, where the operator returns the
        # running values as statistics: then nothing moves. Equal means alone do not say so: those
        # of a map that is 0 everywhere are the ones a norm starts with.
        ratio = inverse_std * F.sqrt(running_var + options["eps"])
        other_mean = F.broadcast_not_equal(mean, running_mean)
        moved = F.max(F.broadcast_maximum(other_mean, F.abs(ratio - 1) > 1e-5))
        rate = (1 - self._kwargs["momentum"]) * moved
        states = (running_mean, running_var)
        steps = [F.broadcast_mul(rate, new - old) for new, old in zip((mean, variance), states)]
        if F is not nd:
            if dtype != "float32":
                raise UsageError(
                    f"Hybridised networks of PyTorch's train in float32, not in {dtype}; "
                    "train eagerly: net.hybridize(False)."
                )
            return _adding(F, y, states, steps)
        with autograd.pause():
            for state, step in zip(states, steps):
                state = state.detach()  # the same memory, outside of the recorded graph
                state += step
        return y

    def _over_devices(self, x, gamma, beta, running_mean, running_var):
        """Eagerly, the training pass whose statistics are those of all devices together."""
        values = x.astype(gamma.dtype, copy=False)  # sums in half precision would overflow
        count = x.size // x.shape[1]
        mean = _sum(values) / count
        square = _sum(nd.square(nd.broadcast_sub(values, nd.reshape(mean, shape=(1, -1, 1, 1)))))
        shares = devices.gather()((count, nd.stack(mean, square)))
        mean, variance, count = _together(shares, x.context)
        # The operator with given statistics is the fastest way through the map, but has no
        # gradient for them. So it gets their values alone, and a scale and shift of the same
        # value as gamma and beta in which the statistics' gradients are.
        fixed_mean, fixed_variance = mean.detach(), variance.detach()
        epsilon = self._kwargs["eps"]
        fixed_std = nd.sqrt(fixed_variance + epsilon)
        scale = gamma * (fixed_std / nd.sqrt(variance + epsilon))
        shift = beta + scale * (fixed_mean - mean) / fixed_std
        states = running_mean, running_var
        if self.unbiased:
            _move(states, (fixed_mean, fixed_variance * (count / max(count - 1, 1))), self._rate())
        else:
            # Two values with this mean and deviation, whose gradient is zero, make the operator
            # move the running statistics where it always does: in the backward pass.
            std = nd.sqrt(fixed_variance)
            two = nd.reshape(nd.stack(fixed_mean + std, fixed_mean - std), shape=(2, -1, 1, 1))
            moving = super().hybrid_forward(nd, two, gamma, beta, *states)
            shift = shift + 0 * nd.reshape(moving[0], shape=(-1,))
        options = dict(self._kwargs, use_global_stats=True)
        return nd.BatchNorm(x, scale, shift, fixed_mean, fixed_variance, **options)

    def _rate(self):
        return 1 - self._kwargs["momentum"]


def _together(shares, context):
    """Mean and biased variance (C,) of all values, of which the devices have their shares.

    Chan et al., 1979: nothing large cancels out, as it would in the mean of the squares minus the
    square of the mean.

    Args:
        shares: per device, (count, array (2, C): mean, sum of the squared deviations from it).
    """
    counts = [count for count, _ in shares]
    total = sum(counts)
    both = [
        nd.split(array.as_in_context(context), 2, axis=0, squeeze_axis=True) for _, array in shares
    ]
    mean = nd.add_n(*[m * (n / total) for n, (m, _) in zip(counts, both)])
    squares = [s + n * nd.square(m - mean) for n, (m, s) in zip(counts, both)]
    return mean, nd.add_n(*squares) / total, total


def _move(states, values, rate):
    """Let running ``states`` (C,) go the ``rate`` of their way to ``values``, eagerly."""
    with autograd.pause():
        for state, value in zip(states, values):
            state = state.detach()  # the same memory, outside of the recorded graph
            state += rate * (value - state)


def _sum(x):
    """(N, C, H, W) -> sums (C,). In two steps, because MXNet is slow over axes that are apart."""
    return nd.sum(nd.sum(x, axis=(2, 3)), axis=0)


def _adding(F, y, states, steps):
    """``y``, in a graph that adds two ``steps`` (C,) to two ``states`` (C,) whenever it runs.

    Only operators with auxiliary states change parameters from inside a graph. SGD's momentum is
    such a state, and with rate -1 and momentum 1 it becomes state + step. Of MXNet's SGD operators
    this one accepts symbols; its fourth operand is a float32 copy of half precision weights, which
    it does not touch in single precision.
    """
    zero = F.zeros_like(steps[0])
    operands = [v for state, step in zip(states, steps) for v in (zero, step, state, state)]
    done = F.multi_mp_sgd_mom_update(
        *operands, lrs=(-1.0, -1.0), wds=(0.0, 0.0), momentum=1.0, num_weights=2
    )
    # Reshaping C channels to C channels costs nothing, and makes y depend on the update.
    done = F.BlockGrad(done[0] + done[1] + zero)
    return F.reshape_like(y, done, lhs_begin=1, lhs_end=2, rhs_begin=0, rhs_end=1)


def unbiased_variance(net):
    """Let every :class:`BatchNorm` of ``net`` keep its running variance as PyTorch does.

    For networks from PyTorch, as the last line of their ``__init__``. Hybridised, it works below a
    ``TwoGraphBlock``, as every segmentation network is; the inference graph stays as it was.
    """

    def switch(block):
        if isinstance(block, BatchNorm):
            block.unbiased = True

    net.apply(switch)
