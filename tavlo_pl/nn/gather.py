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

    The backward pass sums the gradients of all processes. With the mean of the losses over processes, as in DDP, the
    gradient equals that of one process with all tensors.

    Args:
        tensor: of the same shape on every process.
        dim: dimension along which they are concatenated.
    """
    if rank_and_size()[1] == 1 or not tensor.numel():
        return tensor
    return torch.cat(all_gather(tensor.contiguous()), dim)


def local_shard(tensor: Tensor, dim: int = 0) -> Tensor:
    """The part of a tensor gathered by `all_gather_with_grad` that belongs to this process."""
    rank, size = rank_and_size()
    return tensor.chunk(size, dim)[rank]
