"""Whether a run is sound: its losses and parameters are finite, its devices agree."""

import mxnet as mx
import numpy as np

from ..errors import MXNetSegError


def diverged(step):
    """The error for a loss, or for parameters, that are not finite."""
    return MXNetSegError(
        f"The training diverged: its loss or parameters are not finite at step {step}. Lower "
        "optim.lr, and check the labels with `mxnetseg check`; checkpoints of before are kept."
    )


def check_finite(net, state, step):
    """Raise :func:`diverged` if a parameter or an array of ``state`` is not finite.

    So such a thing is never saved. A loss tells of the step before only.
    """
    parameters = (p.data(p.list_ctx()[0]) for p in net.collect_params().values())
    for array in (*parameters, *state.values()):
        if not np.isfinite(array.asnumpy()).all():
            raise diverged(step)


def running_statistics(net):
    """The parameters that are running means and variances of norms."""
    names = ("running_mean", "running_var")
    return [p for name, p in net.collect_params().items() if name.endswith(names)]


def average_statistics(net, contexts):
    """Give all devices the mean of their running statistics.

    Every device gathers those of its own share of the batch; what is validated shall be what is
    saved.
    """
    if len(contexts) == 1:
        return
    for parameter in running_statistics(net):
        values = [parameter.data(c).as_in_context(mx.cpu()) for c in contexts]
        parameter.set_data(mx.nd.add_n(*values) / len(values))
