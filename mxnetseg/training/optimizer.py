"""MXNet's optimisers over all devices."""

import math

import mxnet as mx
from mxnet import autograd, gluon

from ..errors import UsageError
from .patterns import matching
from .precision import Unscaled


class Optimizer:
    """MXNet's optimiser over all devices, with a state that can be saved and loaded exactly."""

    def __init__(
        self, net, optim, contexts, clip_norm=None, accumulate=False, kvstore=None, scaler=None
    ):  # fmt: skip
        """
        Args:
            net: its parameters on all devices.
            optim: the ``optim`` section of the experiment.
            clip_norm: largest norm of all gradients together; None: they stay as they are.
            kvstore: sums gradients over a group's workers too; None: this process is alone.
            accumulate: gradients of several backward passes are added until :meth:`step`.
            scaler: see :func:`mxnetseg.training.precision.scaler`.
        """
        self.parameters = {
            n: p for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"
        }
        self.contexts, self.clip_norm, self.accumulate = contexts, clip_norm, accumulate
        self.scaler = scaler or Unscaled()
        if accumulate:
            for parameter in self.parameters.values():
                parameter.grad_req = "add"
        _set_rates(self.parameters, optim)
        self.trainer = gluon.Trainer(
            list(self.parameters.values()),
            _create(optim),
            kvstore=kvstore or ("device" if len(contexts) > 1 else None),
            update_on_kvstore=False,
        )

    def backward(self, parts):
        """The gradients of a loss, of its ``parts`` on every device, times the scaler's scale."""
        autograd.backward(parts, self.scaler.head_gradients(parts))

    def step(self, rate):
        """Update every parameter with the gradients summed over the devices.

        Returns:
            The norm (1,) of all gradients together, before it was clipped. It is not finite if
            gradients overflowed with the loss's scale: then the step was skipped.
        """
        self._initialise()
        self.trainer.set_learning_rate(rate)
        self.trainer.allreduce_grads()
        scale = self.scaler.scale  # of these gradients
        if not self.clip_norm:
            gradients = [p.grad(self.contexts[0]) for p in self.parameters.values()]
            norm = mx.nd.multi_sum_sq(*gradients, num_arrays=len(gradients)).sum().sqrt()
        else:
            for ctx in reversed(self.contexts):
                gradients = [p.grad(ctx) for p in self.parameters.values()]
                norm = gluon.utils.clip_global_norm(
                    gradients, self.clip_norm * scale, check_isfinite=False
                )
        if scale != 1:
            norm = norm / scale
        if self.scaler.accepts(norm):
            self.trainer.update(scale, ignore_stale_grad=True)
        if self.accumulate:
            for parameter in self.parameters.values():
                parameter.zero_grad()
        return norm

    def state(self):
        """{"<number>:<parameter>": array}, from the first device; with the scaler's."""
        self._initialise()
        states = self.trainer._updaters[0].states
        found = self.scaler.state()
        for i, name in enumerate(self.parameters):
            for k, array in enumerate(_flat(states.get(i))):
                found[f"{k}:{name}"] = array.as_in_context(mx.cpu())
        return found

    def load(self, arrays, step):
        """The inverse of :meth:`state`, after ``step`` steps."""
        self._initialise()
        self.scaler.load(arrays)
        optimizer = self.trainer._optimizer
        optimizer.begin_num_update = optimizer.num_update = step - self.scaler.skipped
        for updater, ctx in zip(self.trainer._updaters, self.trainer._contexts):
            for i, (name, parameter) in enumerate(self.parameters.items()):
                updater.states[i] = state = optimizer.create_state_multi_precision(
                    i, parameter.data(ctx)
                )
                updater.states_synced[i] = True
                for k, array in enumerate(_flat(state)):
                    if f"{k}:{name}" not in arrays:
                        raise UsageError("The checkpoint was written with another optimiser.")
                    arrays[f"{k}:{name}"].copyto(array)

    def _initialise(self):
        """Have the store know the parameters, which MXNet would do in the first step."""
        if not self.trainer._kv_initialized:
            self.trainer._init_kvstore()
            self.trainer._init_params()
            # Workers ask the servers for the parameters under the same keys as later for the sums
            # of the gradients. A worker whose first gradients overtake that question gets the sum
            # in place of the parameter.
            mx.nd.waitall()


def _flat(state):
    if state is None:
        return []
    return list(state) if isinstance(state, (tuple, list)) else [state]


class AdamW(mx.optimizer.Adam):
    """Adam with a weight decay of its own (Loshchilov and Hutter, ICLR 2019).

    w becomes w - rate (m' / (sqrt(v') + epsilon) + wd w), with the corrected moments m' and v'.
    """

    def update(self, index, weight, grad, state):
        self._update_count(index)
        rate, decay = self._get_lr(index), self._get_wd(index)
        count = self._index_update_count[index]
        first, second = 1 - self.beta1**count, math.sqrt(1 - self.beta2**count)
        mx.nd.contrib.adamw_update(
            weight, grad, *state, mx.nd.ones(1, ctx=weight.context), out=weight, eta=1.0,
            lr=rate * second / first, wd=rate * decay, beta1=self.beta1, beta2=self.beta2,
            epsilon=self.epsilon * second,
        )  # fmt: skip


def _create(optim):
    common = {"learning_rate": optim.lr, "wd": optim.weight_decay}
    if optim.name in ("sgd", "nag"):
        kind = {"sgd": mx.optimizer.SGD, "nag": mx.optimizer.NAG}[optim.name]
        return kind(momentum=optim.momentum, **common)
    kind = {"adam": mx.optimizer.Adam, "adamw": AdamW}[optim.name]
    return kind(beta1=optim.betas[0], beta2=optim.betas[1], **common)


def _set_rates(parameters, optim):
    """Each parameter's own rate and decay, as factors of the common ones."""
    head = [name for name in parameters if not name.startswith("backbone.")]
    if optim.head_lr_factor != 1 and len(head) == len(parameters):
        raise UsageError(
            "optim.head_lr_factor raises the rate of all but the backbone, but this network "
            "has none. Set optim.lr, or rates of single parameters with optim.rates."
        )
    for name in head:
        parameters[name].lr_mult = optim.head_lr_factor
    for name, parameter in parameters.items():
        if not optim.decay_norm_and_bias and name.endswith(("gamma", "beta", "bias")):
            parameter.wd_mult = 0.0
    for pattern, factor in optim.rates.items():
        for name in matching(parameters, pattern, "optim.rates"):
            parameters[name].lr_mult = factor
    for pattern, factor in optim.decays.items():
        for name in matching(parameters, pattern, "optim.decays"):
            parameters[name].wd_mult = factor
