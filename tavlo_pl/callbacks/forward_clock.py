"""Inference time of a model per clip, without reading and scoring the clip."""

import statistics
import time
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor


class ForwardClock:
    """Measures each forward call of a module whose output has one row per clip.

    Args:
        module: the model; `stop` removes the hooks.
    """

    def __init__(self, module: LightningModule) -> None:
        self._seconds: list[float] = []
        self._started_s = 0.0
        self._hooks = [module.register_forward_pre_hook(self._start), module.register_forward_hook(self._end)]

    def stop(self) -> float | None:
        """Returns the median over batches of the seconds per clip; None without a call."""
        for hook in self._hooks:
            hook.remove()
        return statistics.median(self._seconds) if self._seconds else None

    def _start(self, module: Any, _inputs: Any) -> None:
        self._started_s = _now_s(module.device)

    def _end(self, module: Any, _inputs: Any, maps: Tensor) -> None:
        self._seconds.append((_now_s(module.device) - self._started_s) / len(maps))


def _now_s(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
