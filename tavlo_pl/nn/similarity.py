"""Cosine similarity of sounds with cells of pictures: the score map of TAVLO (arXiv 2507.04667, equation 4)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def score_map(audio: Tensor, visual: Tensor) -> Tensor:
    """Each sound against the cells of its own frame.

    Args:
        audio: (..., B, T, D) audio tokens.
        visual: (B, T, HW, D) visual tokens.

    Returns:
        (..., B, T, HW) cosines in [-1, 1].
    """
    return torch.einsum("...btd,btsd->...bts", normalize(audio, dim=-1), normalize(visual, dim=-1))


def pair_scores(audio: Tensor, visual: Tensor) -> Tensor:
    """Each sound against the cells of every clip's frame of the same segment.

    Args:
        audio: (A, T, D) audio tokens.
        visual: (V, T, HW, D) visual tokens.

    Returns:
        (A, V, T, HW) cosines in [-1, 1].
    """
    return torch.einsum("atd,vtsd->avts", normalize(audio, dim=-1), normalize(visual, dim=-1))
