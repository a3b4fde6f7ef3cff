"""How long a model takes to localize a clip, without reading and scoring it."""

import statistics
import time
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


class ForwardClock:
    """Times each call of a module, whose result has one row a clip.

    Args:
        module: the model; `stop` takes the clock off again.
    """

    def __init__(self, module: LightningModule) -> None:
        self._seconds: list[float] = []
        self._started_s = 0.0
        self._hooks = [module.register_forward_pre_hook(self._start), module.register_forward_hook(self._end)]

    def stop(self) -> float | None:
        """Seconds a clip: the median over batches, which a slow first one does not move; None for no call."""
        for hook in self._hooks:
            hook.remove()
        return statistics.median(self._seconds) if self._seconds else None

    def _start(self, module: Any, inputs: Any) -> None:
        self._started_s = _now_s(module.device)

    def _end(self, module: Any, inputs: Any, maps: Tensor) -> None:
        self._seconds.append((_now_s(module.device) - self._started_s) / len(maps))


def _now_s(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
