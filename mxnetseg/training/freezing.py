"""Parameters that a run leaves as they are."""

from mxnet import gluon

from ..errors import UsageError
from .patterns import matching


def freeze(net, patterns, statistics=False):
    """Freeze the parameters whose names fit one of ``patterns``; before the network is hybridised.

    A norm has three things to freeze: scale (``*.gamma``), shift (``*.beta``), and statistics
    (``*.running_*``): with these, it normalises with its running statistics and leaves them.

    Args:
        statistics: freeze those of all norms.
    """
    parameters = net._collect_params_with_prefix()
    frozen = {n for pattern in patterns for n in matching(parameters, pattern, "train.freeze")}
    for name in frozen:
        if "running_" not in name:
            parameters[name].grad_req = "null"
    if all(parameter.grad_req == "null" for parameter in parameters.values()):
        raise UsageError("train.freeze leaves nothing to train.")
    fixed = {id(parameters[name]) for name in frozen}

    def fix(block):
        if isinstance(block, gluon.nn.BatchNorm):
            own = {id(block.running_mean), id(block.running_var)}
            if statistics or own & fixed:
                block._kwargs["use_global_stats"] = True

    net.apply(fix)
