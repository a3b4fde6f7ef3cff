"""Bag scores of all pairs of sound and picture, without holding the scores of all their cells.

The cosines of A sounds with the cells of V clips are A·V·T·HW numbers, and a normalised copy of the pictures is as
large as the pictures. Only the pooled scores, A·V·T numbers, are kept here: clips are taken a few at a time, and the
backward pass computes their cosines once more. That costs as many multiplications again, a small part of a training
step, whose bulk are the encoders.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from tavlo_pl.losses.mil import Pool, pool_bag

CHUNK_NUMBERS = 2**22
"""Numbers (16 MiB) that the pictures or the cosines of the clips at hand may have; a single clip may have more."""


def bag_scores(sounds: Tensor, own: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
    """Pooled cosines of sounds with the frames of the same segment, in full precision.

    Args:
        sounds: (A, T, D) tokens of sounds that every clip is compared with.
        own: (K, V, T, D) tokens of K further sounds for each clip.
        visual: (V, T, HW, D) tokens of the clips' cells.
        pools: the poolings wanted.

    Returns:
        (P, A + K, V, T) bag scores, one (A + K, V, T) for each pooling.
    """
    bags: Tensor = _InChunks.apply(sounds, own, visual, pools)
    return bags


class _InChunks(Function):
    @staticmethod
    def forward(ctx: Any, sounds: Tensor, own: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
        ctx.save_for_backward(sounds, own, visual)
        ctx.pools = pools
        count = len(sounds) + len(own)
        return torch.cat([_bags(sounds, own[:, c], visual[c], pools) for c in _chunks(count, visual)], dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        sounds, own, visual = ctx.saved_tensors
        of_sounds, of_own, of_visual = torch.zeros_like(sounds), torch.empty_like(own), torch.empty_like(visual)
        for c in _chunks(len(sounds) + len(own), visual):
            shared, further, cells = (tensor.detach().requires_grad_() for tensor in (sounds, own[:, c], visual[c]))
            with torch.enable_grad():
                bags = _bags(shared, further, cells, ctx.pools)
            found = torch.autograd.grad(bags, (shared, further, cells), grad[:, :, c])
            of_sounds += found[0]
            of_own[:, c], of_visual[c] = found[1:]
        return of_sounds, of_own, of_visual, None


def _bags(sounds: Tensor, own: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
    """`bag_scores` of a few clips at once."""
    with torch.autocast(visual.device.type, enabled=False):
        cells = visual.float()
        heard = torch.cat([sounds[:, None].expand(-1, len(visual), -1, -1), own]).float()  # (A + K, V, T, D)
        heard = normalize(heard, dim=-1).permute(1, 2, 0, 3)  # (V, T, A + K, D)
        lengths = torch.linalg.vector_norm(cells, dim=-1)[:, :, None].clamp(min=1e-12)  # (V, T, 1, HW)
        scores = heard @ cells.mT / lengths  # (V, T, A + K, HW)
        return torch.stack([pool_bag(scores, pool) for pool in pools]).permute(0, 3, 1, 2)


def _chunks(sounds: int, visual: Tensor) -> Iterator[slice]:
    """Clips to take at a time."""
    clips, segments, cells, width = visual.shape
    size = max(1, CHUNK_NUMBERS // (segments * cells * max(sounds, width)))
    return (slice(first, first + size) for first in range(0, clips, size))
