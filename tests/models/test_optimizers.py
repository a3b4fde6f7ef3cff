"""The learning rate schedule."""

import math

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler

from tavlo_pl.models.optimizers import OPEN_ENDED_WARMUP_STEPS, WarmupCosine

PEAK = 0.1


def optimizer(*rates: float) -> torch.optim.SGD:
    """One parameter group for each learning rate."""
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates])


def rates(scheduler: LRScheduler, steps: int) -> list[float]:
    """Learning rate of the first parameter group at each step."""
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def test_warmup_cosine_follows_the_closed_form() -> None:
    scheduler = WarmupCosine(optimizer(PEAK), warmup=0.2)
    scheduler.set_total_steps(20)
    rise = [PEAK * (step + 1) / 4 for step in range(4)]
    fall = [PEAK * 0.5 * (1 + math.cos(math.pi * step / 16)) for step in range(16)]
    assert rates(scheduler, 20) == pytest.approx([*rise, *fall])
    assert rates(scheduler, 3) == [0.0] * 3  # past the end


@pytest.mark.parametrize(("warmup", "first"), [(0.0, 1.0), (0.05, 1.0), (1.0, 0.1)])
def test_warmup_cosine_starts_above_zero(warmup: float, first: float) -> None:
    scheduler = WarmupCosine(optimizer(PEAK), warmup=warmup)
    scheduler.set_total_steps(10)
    assert rates(scheduler, 1) == pytest.approx([first * PEAK])


def test_warmup_cosine_of_one_step_trains_at_the_peak() -> None:
    scheduler = WarmupCosine(optimizer(PEAK))
    scheduler.set_total_steps(1)
    assert rates(scheduler, 1) == [PEAK]


@pytest.mark.parametrize("total_steps", [None, math.inf])
def test_warmup_cosine_of_unknown_length_ends_constant(total_steps: float | None) -> None:
    scheduler = WarmupCosine(optimizer(PEAK))
    if total_steps is not None:
        scheduler.set_total_steps(total_steps)
    found = rates(scheduler, OPEN_ENDED_WARMUP_STEPS + 50)
    rise = [PEAK * (step + 1) / OPEN_ENDED_WARMUP_STEPS for step in range(OPEN_ENDED_WARMUP_STEPS)]
    assert found == pytest.approx([*rise, *[PEAK] * 50])


def test_warmup_cosine_scales_each_group() -> None:
    scheduler = WarmupCosine(optimizer(1.0, 0.1), warmup=0.5)
    scheduler.set_total_steps(4)
    assert scheduler.get_last_lr() == pytest.approx([0.5, 0.05])
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == pytest.approx([1.0, 0.1])


def test_warmup_cosine_resumes_from_its_state() -> None:
    scheduler = WarmupCosine(optimizer(PEAK))
    scheduler.set_total_steps(20)
    whole = rates(scheduler, 20)
    scheduler = WarmupCosine(optimizer(PEAK))
    scheduler.set_total_steps(20)
    rates(scheduler, 7)
    resumed = WarmupCosine(optimizer(PEAK))
    resumed.set_total_steps(20)
    resumed.optimizer.load_state_dict(scheduler.optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert rates(resumed, 13) == whole[7:]


@pytest.mark.parametrize("warmup", [-0.1, 1.1])
def test_warmup_cosine_rejects_a_warmup_out_of_range(warmup: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        WarmupCosine(optimizer(PEAK), warmup=warmup)
