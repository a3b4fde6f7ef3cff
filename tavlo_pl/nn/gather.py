"""The tensors of all processes, with the exact gradient: what is compared within a batch grows with the machines."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def processes() -> tuple[int, int]:
    """(rank, number) of this process; (0, 1) where none are joined."""
    joined = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)


def all_gather_with_grad(tensor: Tensor, dim: int = 0) -> Tensor:
    """The tensors of all processes side by side, in the order of their ranks.

    The gradient of the mean over processes of their losses, as DDP takes it, is that of one process with all the
    tensors: each process sums up what the others' losses say of its tensor.

    Args:
        tensor: of the same shape on every process.
        dim: along which they are put together.
    """
    if processes()[1] == 1 or not tensor.numel():
        return tensor
    gathered: Tensor = _Gather.apply(tensor, dim)
    return gathered


def mine(tensor: Tensor, dim: int = 0) -> Tensor:
    """This process's part of what `all_gather_with_grad` gave."""
    rank, count = processes()
    return tensor.chunk(count, dim)[rank]


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(processes()[1])]
        dist.all_gather(parts, tensor.contiguous())
        return torch.cat(parts, dim)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return mine(total, ctx.dim), None
