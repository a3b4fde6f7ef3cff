"""Activation checkpointing: activations are recomputed in the backward pass instead of stored."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def checkpointed(module: nn.Module, tensor: Tensor) -> Tensor:
    """``module(tensor)``, storing only ``tensor`` for the backward pass; the gradient is the same.

    Torch's checkpoint runs the forward pass twice, which would update the running statistics of batch norms twice; the
    second pass leaves them unchanged here.
    """
    if not torch.is_grad_enabled():
        out: Tensor = module(tensor)
        return out

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(module)

    result: Tensor = checkpoint(module, tensor, use_reentrant=False, context_fn=contexts)
    return result


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Context in which a forward pass leaves the running statistics of batch norms unchanged."""
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.training and m.track_running_stats]
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
