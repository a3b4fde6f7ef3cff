"""Parts of a network whose inner values are computed again in the backward pass in place of being kept."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def recomputed(part: nn.Module, tensor: Tensor) -> Tensor:
    """``part(tensor)``, keeping nothing but ``tensor`` for the backward pass; its gradient is the same."""
    if not torch.is_grad_enabled():
        out: Tensor = part(tensor)
        return out

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(part)

    again: Tensor = checkpoint(part, tensor, use_reentrant=False, context_fn=contexts)
    return again


@contextmanager
def _statistics_kept(part: nn.Module) -> Iterator[None]:
    """Batch norms count each batch once: their running statistics stay as the first pass left them."""
    norms = [m for m in part.modules() if isinstance(m, BATCH_NORMS) and m.training and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked -= 1
