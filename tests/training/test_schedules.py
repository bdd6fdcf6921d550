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
