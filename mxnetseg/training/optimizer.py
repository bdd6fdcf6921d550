"""MXNet's optimisers over all devices."""

import fnmatch

import mxnet as mx
from mxnet import gluon

from ..errors import UsageError


class Optimizer:
    """MXNet's optimiser over all devices, with a state that can be saved and loaded exactly."""

    def __init__(self, net, optim, contexts):
        self.parameters = {
            n: p for n, p in net._collect_params_with_prefix().items() if p.grad_req != "null"
        }
        self._set_rates(optim)
        options = {"learning_rate": optim.lr, "wd": optim.weight_decay}
        if optim.name != "adam":
            options["momentum"] = optim.momentum
        self.trainer = gluon.Trainer(
            list(self.parameters.values()),
            optim.name,
            options,
            kvstore="device" if len(contexts) > 1 else None,
            update_on_kvstore=False,
        )

    def _set_rates(self, optim):
        """Each parameter's own rate and decay, as factors of the common ones."""
        if optim.head_lr_factor != 1 and not any(
            n.startswith("backbone.") for n in self.parameters
        ):
            raise UsageError(
                "optim.head_lr_factor raises the rate of all but the backbone, but this network "
                "has none. Set optim.lr, or rates of single parameters with optim.rates."
            )
        for name, parameter in self.parameters.items():
            if not name.startswith("backbone."):
                parameter.lr_mult = optim.head_lr_factor
            if not optim.decay_norm_and_bias and name.endswith(("gamma", "beta", "bias")):
                parameter.wd_mult = 0.0
        for key, factors, factor_of in (
            ("rates", optim.rates, "lr_mult"),
            ("decays", optim.decays, "wd_mult"),
        ):
            for pattern, factor in factors.items():
                names = fnmatch.filter(self.parameters, pattern)
                if not names:
                    raise UsageError(
                        f"optim.{key}: no parameter is called {pattern}. They are called "
                        f"{', '.join(list(self.parameters)[:2])} ..., {list(self.parameters)[-1]}."
                    )
                for name in names:
                    setattr(self.parameters[name], factor_of, factor)

    def step(self, rate):
        """Update every parameter with the gradients summed over the devices."""
        self.trainer.set_learning_rate(rate)
        self.trainer.step(1, ignore_stale_grad=True)

    def state(self):
        """{"<number>:<parameter>": array}, from the first device: all are equal."""
        self._initialise()
        states = self.trainer._updaters[0].states
        found = {}
        for i, name in enumerate(self.parameters):
            for k, array in enumerate(_flat(states.get(i))):
                found[f"{k}:{name}"] = array.as_in_context(mx.cpu())
        return found

    def load(self, arrays, step):
        """The inverse of :meth:`state`, after ``step`` steps."""
        self._initialise()
        optimizer = self.trainer._optimizer
        optimizer.begin_num_update = optimizer.num_update = step
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
        if not self.trainer._kv_initialized:
            self.trainer._init_kvstore()


def _flat(state):
    if state is None:
        return []
    return list(state) if isinstance(state, (tuple, list)) else [state]
