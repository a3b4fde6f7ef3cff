"""Tensors of all processes with gradients, for contrast over the global batch."""

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.nn.functional import all_gather


def rank_and_size() -> tuple[int, int]:
    """(rank, number of processes); (0, 1) without a process group."""
    joined = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)


def all_gather_with_grad(tensor: Tensor, dim: int = 0) -> Tensor:
    """The tensors of all processes, concatenated in the order of their ranks.

    The gradient of the mean over processes of their losses, as DDP takes it, is that of one process with all tensors:
    the backward pass sums the gradients of all processes.

    Args:
        tensor: of the same shape on every process.
        dim: along which they are concatenated.
    """
    if rank_and_size()[1] == 1 or not tensor.numel():
        return tensor
    return torch.cat(all_gather(tensor.contiguous()), dim)


def local_shard(tensor: Tensor, dim: int = 0) -> Tensor:
    """This process's part of what `all_gather_with_grad` returned."""
    rank, size = rank_and_size()
    return tensor.chunk(size, dim)[rank]
