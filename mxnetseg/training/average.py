"""An exponential moving average of the weights, which often scores better than the last ones."""

import contextlib

import mxnet as mx

from ..errors import UsageError

WEIGHTS = "weights:"


class Average:
    """The average of what a network learns; Polyak and Juditsky, SIAM J. Control Optim. 1992.

    After step t the average is d x itself + (1 - d) x the weights, d the smaller of ``decay`` and
    (1 + t) / (10 + t), so that the first steps are soon forgotten. Running statistics of norms are
    averages already: those of the network go with it as they are.

    Within :meth:`applied` the network has the average as its weights. So it is validated, and so it
    is saved: a checkpoint's parameters are the average, the weights stand beside them as a state.

    Args:
        net: the network, its parameters on all devices.
        decay: None: there is no average, and the network stays as it is.
    """

    def __init__(self, net, decay):
        self.decay = decay
        named = net._collect_params_with_prefix().items() if decay else ()
        self.parameters = {n: p for n, p in named if p.grad_req != "null"}
        self.arrays = {n: _first(p).copy() for n, p in self.parameters.items()}

    def update(self, step):
        """Take in the weights after step ``step``, the first of which is 1."""
        for name, parameter in self.parameters.items():
            average, decay = self.arrays[name], min(self.decay, (1 + step) / (10 + step))
            average *= decay
            average += (1 - decay) * _first(parameter)

    @contextlib.contextmanager
    def applied(self):
        """Let the network have the average as its weights in this block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self):
        for name, parameter in self.parameters.items():
            there = _first(parameter).copy()
            parameter.set_data(self.arrays[name])
            self.arrays[name] = there

    def state(self):
        """Within :meth:`applied`: {"weights:<parameter>": array}."""
        return {WEIGHTS + n: a.as_in_context(mx.cpu()) for n, a in self.arrays.items()}

    def load(self, arrays):
        """Go on from a :meth:`state`, after the network was given the average."""
        if bool(self.decay) != any(name.startswith(WEIGHTS) for name in arrays):
            raise UsageError(
                "The checkpoint was written "
                f"{'without' if self.decay else 'with'} an average of the weights (train.ema). "
                "Resume with the same, or begin a new run from it with --checkpoint."
            )
        for name in self.parameters:
            saved = arrays[WEIGHTS + name]
            self.arrays[name] = saved.as_in_context(self.arrays[name].context)
        self._exchange()


def _first(parameter):
    return parameter.data(parameter.list_ctx()[0])
