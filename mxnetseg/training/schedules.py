"""Learning rate as a function of the step: no state, so it resumes by itself."""

import math

ONE_CYCLE_START = 1 / 25


def learning_rate(optim, step, total_steps, steps_per_epoch):
    """The rate of step ``step`` (0 ... total_steps - 1).

    Args:
        optim: the ``optim`` section of the experiment.

    During warm-up the rate rises linearly from ``warmup_factor`` times what it warms up to: lr with
    ``warmup_first``, and the schedule begins afterwards, over the steps that are left (PMSDSEN);
    else the schedule's own rates, as if there were no warm-up.
    """
    length = optim.warmup_epochs * steps_per_epoch
    shift = length if optim.warmup_first else 0
    epoch = step / steps_per_epoch
    if step >= length:
        return _schedule(optim, step - shift, total_steps - shift, epoch)
    goal = optim.lr if shift else _schedule(optim, step, total_steps, epoch)
    return goal * (optim.warmup_factor + (1 - optim.warmup_factor) * step / length)


def _schedule(optim, step, total_steps, epoch):
    cuts = sum(epoch >= at for at in optim.step_epochs)
    if optim.schedule == "step":
        return optim.lr * optim.step_factor**cuts
    if optim.schedule == "cyclic":
        return optim.lr * optim.step_factor**cuts * _saw_tooth(int(epoch), optim.cycle_epochs)
    if optim.schedule == "one_cycle":
        return _one_cycle(optim, step, total_steps)
    progress = step / max(1, total_steps)
    factor = {
        "poly": (1 - progress) ** optim.power,
        "cosine": 0.5 * (1 + math.cos(math.pi * progress)),
        "linear": 1 - progress,
        "constant": 1.0,
    }[optim.schedule]
    final = optim.lr if optim.schedule == "constant" else optim.final_lr
    return final + (optim.lr - final) * factor


def _saw_tooth(epoch, length):
    """Warm restarts of ESPNet and EdgeNets: 1, then length ... 2, 1 again and again."""
    return 1 if epoch == 0 else length - (epoch - 1) % length


def _one_cycle(optim, step, total_steps):
    """Smith and Topin, Super-Convergence, 2018: up to lr and down, each along half a cosine."""
    top = max(optim.rise * total_steps - 1, 0)
    if step < top:
        begin, end, share = optim.lr * ONE_CYCLE_START, optim.lr, step / top
    else:
        begin, end = optim.lr, optim.final_lr
        share = min((step - top) / max(total_steps - 1 - top, 1), 1)
    return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * share))
