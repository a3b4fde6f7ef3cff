"""Cosine similarity of audio and visual tokens: the score map of TAVLO (arXiv 2507.04667, equation 4)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def score_map(audio: Tensor, visual: Tensor) -> Tensor:
    """Cosine of each audio token with the visual tokens of the same segment, in float32.

    Args:
        audio: (..., B, T, D) audio tokens.
        visual: (B, T, HW, D) visual tokens.

    Returns:
        (..., B, T, HW) cosines in [-1, 1].
    """
    with torch.autocast(visual.device.type, enabled=False):
        return torch.einsum("...btd,btsd->...bts", normalize(audio.float(), dim=-1), normalize(visual.float(), dim=-1))
