"""Memory-efficient bag scores of all audio-visual pairs.

The cosines of A audio tokens with the cells of V clips are A·V·T·HW numbers, and a normalised copy of the visual tokens
is as large as the tokens. Clips are processed in chunks and their cosines are recomputed in the backward pass, so that
only the pooled scores, A·V·T numbers, are stored.

A custom autograd function is used instead of ``torch.utils.checkpoint`` for each chunk, which stores the gradients of
all chunks twice when it concatenates them (``python -m benchmarks.memory`` compares the two).
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
"""Largest size of the visual tokens or the cosines of a chunk (16 MiB in float32), unless one clip is larger."""


def bag_scores(shared: Tensor, per_clip: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
    """Pooled cosines of audio tokens with the cells of the same segment, in full precision.

    Args:
        shared: (A, T, D) audio tokens, each compared with every clip.
        per_clip: (K, V, T, D) further audio tokens, K for each clip.
        visual: (V, T, HW, D) visual tokens.
        pools: poolings to compute.

    Returns:
        (P, A + K, V, T) bag scores, one (A + K, V, T) for each pooling.
    """
    scores: Tensor = _Chunked.apply(shared, per_clip, visual, pools)
    return scores


def chunks(num_audio: int, visual: Tensor) -> Iterator[slice]:
    """The clips of each chunk, for ``num_audio`` audio tokens per clip."""
    clips, segments, cells, width = visual.shape
    size = max(1, CHUNK_NUMBERS // (segments * cells * max(num_audio, width)))
    return (slice(first, first + size) for first in range(0, clips, size))


def chunk_scores(shared: Tensor, per_clip: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
    """`bag_scores` of one chunk of clips at once."""
    with torch.autocast(visual.device.type, enabled=False):
        cells = visual.float()
        audio = torch.cat([shared[:, None].expand(-1, len(visual), -1, -1), per_clip]).float()  # (A + K, V, T, D)
        audio = normalize(audio, dim=-1).permute(1, 2, 0, 3)  # (V, T, A + K, D)
        lengths = torch.linalg.vector_norm(cells, dim=-1)[:, :, None].clamp(min=1e-12)  # (V, T, 1, HW)
        scores = audio @ cells.mT / lengths  # (V, T, A + K, HW)
        return torch.stack([pool_bag(scores, pool) for pool in pools]).permute(0, 3, 1, 2)


class _Chunked(Function):
    """`bag_scores`, chunk by chunk in the forward and in the backward pass."""

    @staticmethod
    def forward(ctx: Any, shared: Tensor, per_clip: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
        ctx.save_for_backward(shared, per_clip, visual)
        ctx.pools = pools
        count = len(shared) + len(per_clip)
        return torch.cat([chunk_scores(shared, per_clip[:, c], visual[c], pools) for c in chunks(count, visual)], dim=2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        shared, per_clip, visual = ctx.saved_tensors
        gradients = torch.zeros_like(shared), torch.empty_like(per_clip), torch.empty_like(visual)
        for c in chunks(len(shared) + len(per_clip), visual):
            parts = (shared, per_clip[:, c], visual[c])
            inputs = [tensor.detach().requires_grad_() for tensor in parts]
            with torch.enable_grad():
                scores = chunk_scores(inputs[0], inputs[1], inputs[2], ctx.pools)
            found = torch.autograd.grad(scores, inputs, grad[:, :, c])
            gradients[0].add_(found[0])
            gradients[1][:, c], gradients[2][c] = found[1:]
        return *gradients, None
