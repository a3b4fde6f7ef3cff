"""The clock around a model's forward pass."""

import time

import torch
from torch import Tensor

from tavlo_pl.callbacks.forward_clock import ForwardClock
from tests.helpers.tiny import Tiny


class Slow(Tiny):
    """Takes 20 ms, and 300 the first time."""

    calls = 0

    def forward(self, batch: Tensor) -> Tensor:  # type: ignore[override]
        self.calls += 1
        time.sleep(0.3 if self.calls == 1 else 0.02)
        return batch


def test_forward_clock_returns_the_median_over_batches() -> None:
    model = Slow()
    clock = ForwardClock(model)
    for _ in range(3):
        model(torch.zeros(2, 1))
    seconds = clock.stop()
    assert seconds is not None and 0.009 < seconds < 0.1
    model(torch.zeros(2, 1))
    assert clock.stop() == seconds  # taken off


def test_forward_clock_without_calls_returns_none() -> None:
    assert ForwardClock(Tiny()).stop() is None
