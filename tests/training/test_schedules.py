"""Learning rates against their formulas."""

import math

import pytest

from mxnetseg.config import Optim
from mxnetseg.training.schedules import learning_rate


@pytest.mark.parametrize(
    "schedule, at_half",
    [("poly", 0.1 * 0.5**0.9), ("cosine", 0.05), ("linear", 0.05), ("constant", 0.1)],
)
def test_schedules(schedule, at_half):
    optim = Optim(lr=0.1, schedule=schedule)
    assert learning_rate(optim, 0, 100, 10) == pytest.approx(0.1)
    assert learning_rate(optim, 50, 100, 10) == pytest.approx(at_half)


def test_steps():
    optim = Optim(lr=1.0, schedule="step", step_epochs=[2, 5], step_factor=0.1)
    rates = [learning_rate(optim, step, 100, 10) for step in (19, 20, 49, 50)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01])


def test_warm_up_and_final_rate():
    optim = Optim(lr=1.0, schedule="constant", warmup_epochs=1, warmup_factor=0.2)
    assert learning_rate(optim, 0, 100, 10) == pytest.approx(0.2)
    assert learning_rate(optim, 5, 100, 10) == pytest.approx(0.6)
    assert learning_rate(optim, 10, 100, 10) == pytest.approx(1)
    optim = Optim(lr=1.0, schedule="cosine", final_lr=0.5)
    assert learning_rate(optim, 50, 100, 10) == pytest.approx(0.75)
    assert math.isclose(learning_rate(optim, 100, 100, 10), 0.5)


def test_one_cycle_is_pytorchs():
    """OneCycleLR(max_lr=0.5, total_steps=20, pct_start=0.3, final_div_factor=2) of PyTorch 2."""
    wanted = [0.02, 0.065836, 0.185836, 0.334164, 0.454164, 0.5, 0.493857, 0.475737, 0.446549,
              0.407755, 0.361302, 0.309518, 0.255, 0.200482, 0.148698, 0.102245, 0.063451, 0.034263,
              0.016143, 0.01]  # fmt: skip
    optim = Optim(lr=0.5, schedule="one_cycle", rise=0.3, final_lr=0.01)
    rates = [learning_rate(optim, step, 20, 5) for step in range(20)]
    assert rates == pytest.approx(wanted, abs=1e-6)


def test_cyclic():
    optim = Optim(lr=0.1, schedule="cyclic", cycle_epochs=3, step_epochs=[6], step_factor=0.5)
    rates = [learning_rate(optim, 2 * epoch + 1, 100, 2) for epoch in range(9)]
    assert rates == pytest.approx([0.1, 0.3, 0.2, 0.1, 0.3, 0.2, 0.05, 0.15, 0.1])


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_warm_up_before_the_schedule_is_pmsdsens(schedule):
    optim = Optim(lr=0.045, schedule=schedule, warmup_epochs=2, warmup_factor=0, warmup_first=True)
    n, epochs = 7, 10
    begin, total = 2 * n, (epochs - 2) * n
    for step in range(epochs * n):
        share = (step - begin) / total
        if step < begin:
            wanted = 0.045 * step / begin
        elif schedule == "poly":
            wanted = 0.045 * (1 - share) ** 0.9
        else:
            wanted = 0.5 * 0.045 * (1 + math.cos(math.pi * share))
        assert learning_rate(optim, step, epochs * n, n) == pytest.approx(wanted, abs=1e-12)
