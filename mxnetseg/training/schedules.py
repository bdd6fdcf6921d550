"""Learning rate as a function of the step: no state, so it resumes by itself."""

import math


def learning_rate(optim, step, total_steps, steps_per_epoch):
    """The rate of step ``step`` (0 ... total_steps - 1).

    Args:
        optim: the ``optim`` section of the experiment.

    During warm-up the rate rises linearly from ``warmup_factor`` times lr; afterwards the schedule
    runs over the whole length, as if there had been no warm-up.
    """
    progress = step / max(1, total_steps)
    if optim.schedule == "poly":
        factor = (1 - progress) ** optim.power
    elif optim.schedule == "cosine":
        factor = 0.5 * (1 + math.cos(math.pi * progress))
    elif optim.schedule == "linear":
        factor = 1 - progress
    elif optim.schedule == "step":
        cuts = sum(step >= epoch * steps_per_epoch for epoch in optim.step_epochs)
        return _warm_up(optim, step, steps_per_epoch, optim.lr * optim.step_factor**cuts)
    else:
        return _warm_up(optim, step, steps_per_epoch, optim.lr)
    rate = optim.final_lr + (optim.lr - optim.final_lr) * factor
    return _warm_up(optim, step, steps_per_epoch, rate)


def _warm_up(optim, step, steps_per_epoch, rate):
    length = optim.warmup_epochs * steps_per_epoch
    if step >= length:
        return rate
    return rate * (optim.warmup_factor + (1 - optim.warmup_factor) * step / length)
