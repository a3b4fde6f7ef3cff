"""Bag scores of all audio-visual pairs in little memory.

The cosines of A audio tokens with the cells of V clips are A·V·T·HW numbers, and a normalised copy of the visual tokens
is as large as the tokens. Clips are taken a few at a time and their cosines are recomputed in the backward pass
(``torch.utils.checkpoint``), so that only the pooled scores, A·V·T numbers, are stored.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from tavlo_pl.losses.mil import Pool, pool_bag

CHUNK_NUMBERS = 2**22
"""Numbers (16 MiB in float32) that the visual tokens or the cosines of one chunk may have; one clip may have more."""


def bag_scores(shared: Tensor, per_clip: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
    """Pooled cosines of audio tokens with the cells of the same segment, in full precision.

    Args:
        shared: (A, T, D) audio tokens that are compared with every clip.
        per_clip: (K, V, T, D) further audio tokens, K for each clip.
        visual: (V, T, HW, D) visual tokens.
        pools: the poolings wanted.

    Returns:
        (P, A + K, V, T) bag scores, one (A + K, V, T) for each pooling.
    """
    clips, segments, cells, width = visual.shape
    size = max(1, CHUNK_NUMBERS // (segments * cells * max(len(shared) + len(per_clip), width)))
    chunks = zip(per_clip.split(size, dim=1), visual.split(size), strict=True)
    scores = [
        checkpoint(_bag_scores, shared, own, tokens, pools, use_reentrant=False, preserve_rng_state=False)
        for own, tokens in chunks
    ]
    return torch.cat(scores, dim=2)


def _bag_scores(shared: Tensor, per_clip: Tensor, visual: Tensor, pools: tuple[Pool, ...]) -> Tensor:
    """`bag_scores` of one chunk of clips."""
    with torch.autocast(visual.device.type, enabled=False):
        cells = visual.float()
        audio = torch.cat([shared[:, None].expand(-1, len(visual), -1, -1), per_clip]).float()  # (A + K, V, T, D)
        audio = normalize(audio, dim=-1).permute(1, 2, 0, 3)  # (V, T, A + K, D)
        lengths = torch.linalg.vector_norm(cells, dim=-1)[:, :, None].clamp(min=1e-12)  # (V, T, 1, HW)
        scores = audio @ cells.mT / lengths  # (V, T, A + K, HW)
        return torch.stack([pool_bag(scores, pool) for pool in pools]).permute(0, 3, 1, 2)
