"""Score maps are cosines."""

import torch

from tavlo_pl.nn.similarity import score_map


def test_score_map_is_the_cosine() -> None:
    torch.manual_seed(0)
    audio, visual = torch.randn(3, 2, 8), torch.randn(3, 2, 5, 8)
    scores = score_map(audio, visual)
    by_hand = torch.cosine_similarity(audio[1, 0], visual[1, 0, 4], dim=0)
    assert torch.isclose(scores[1, 0, 4], by_hand, atol=1e-6)
    assert scores.abs().max() <= 1 + 1e-6
