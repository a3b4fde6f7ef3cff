"""The measures of the probes on maps with known values."""

import pytest
import torch

from tavlo_pl.diagnose import measures

N, K, T, H, W = 5, 3, 4, 6, 6


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def test_map_change_is_invariant_to_offset_and_scale() -> None:
    own = draw(N, T, H, W)
    assert torch.allclose(measures.map_change(own, 3 * own + 1), torch.zeros(N).double(), atol=1e-6)
    assert torch.allclose(measures.map_change(own, -own), torch.full((N,), 2.0).double(), atol=1e-6)
    half_changed = torch.stack([own, -own], 1)
    assert torch.allclose(measures.map_change(own, half_changed), torch.ones(N).double(), atol=1e-6)


def test_map_change_of_constant_maps() -> None:
    constant = torch.full((N, T, H, W), 0.3)
    assert torch.equal(measures.map_change(constant, constant + 0.1), torch.zeros(N).double())
    assert torch.equal(measures.map_change(constant, draw(N, T, H, W)), torch.ones(N).double())


def test_pair_scores_index_audio_and_frames() -> None:
    """The score of frames f with audio a is 10f + a."""
    frames, audio = torch.arange(N)[:, None], (torch.arange(N)[:, None] + 1 + torch.arange(K)) % N

    def as_map(score: torch.Tensor) -> torch.Tensor:
        return score[..., None, None, None].float().expand(*score.shape, T, H, W)

    scores = measures.pair_scores(as_map(11 * torch.arange(N)), as_map(10 * frames + audio))
    assert scores.matched.tolist() == [0, 11, 22, 33, 44]
    assert scores.other_audio[3].tolist() == [34, 30, 31]
    assert sorted(scores.other_frames[3].tolist()) == [3, 13, 23]  # audio 3 with frames 0, 1 and 2


def test_retrieved_shares_ties() -> None:
    matched = torch.tensor([1.0, 1.0, 1.0])
    others = torch.tensor([[0.0, 0.5], [1.0, 1.0], [1.0, 2.0]])
    assert measures.retrieved(matched, others).tolist() == pytest.approx([1, 1 / 3, 0])


def components() -> dict[str, torch.Tensor]:
    """Scores (clip, audio, T, h, w) with a single source of variance each, of variance 1."""
    return {
        "position": draw(H, W).expand(400, 1 + K, 1, H, W),
        "frames": draw(400, 1, 1, H, W).expand(-1, 1 + K, -1, -1, -1),
        "audio_level": draw(400, 1 + K, 1, 1, 1).expand(-1, -1, -1, H, W),
        "audio_location": draw(400, 1 + K, 1, H, W, 1)[..., 0],
    }


@pytest.mark.parametrize("kind", ["position", "frames", "audio_level", "audio_location"])
def test_variance_shares_of_a_single_source(kind: str) -> None:
    scores = components()[kind].repeat(1, 1, T, 1, 1)
    shares = measures.variance_shares(scores[:, 0], scores[:, 1:])._asdict()
    assert shares[kind].mean() > 0.95
    assert sum(float(share.mean()) for share in shares.values()) == pytest.approx(1)


def test_variance_shares_of_mixed_sources() -> None:
    """Twice the position's standard deviation has four times its variance: 4 : 1 : 1 : 1."""
    parts = components()
    place = parts["position"]
    parts["position"] = 2 * (place - place.mean()) / place.std(correction=0)
    scores = sum(part.repeat(1, 1, T, 1, 1) for part in parts.values())
    assert isinstance(scores, torch.Tensor)
    means = {
        name: float(share.mean())
        for name, share in measures.variance_shares(scores[:, 0], scores[:, 1:])._asdict().items()
    }
    assert means["position"] == pytest.approx(4 / 7, abs=0.05)
    assert means["frames"] == pytest.approx(1 / 7, abs=0.05)
    assert means["audio_level"] + means["audio_location"] == pytest.approx(2 / 7, abs=0.05)


def test_variance_shares_of_constant_scores_are_zero() -> None:
    shares = measures.variance_shares(torch.ones(N, T, H, W), torch.ones(N, K, T, H, W))
    assert not any(share.any() for share in shares)


def test_active_share_counts_pixels_at_the_threshold() -> None:
    maps = torch.zeros(2, T, 2, 2)
    maps[0, :, 0] = 1
    assert measures.active_share(maps, 0.5, (8, 8)).mean(1).tolist() == [0.5, 0.0]


def test_figure_interval_is_by_clip() -> None:
    figure = measures.Figure.of(torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([3, 3, 4, 4]))
    assert figure == (0.5, 0.5, 0.5)  # both clips have the same mean
    spread = measures.Figure.of(torch.tensor([0.0, 1.0]))
    assert (spread.low, spread.value, spread.high) == (0.0, 0.5, 1.0)


def test_mean_where_skips_clips_without_selection() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    selected = torch.tensor([[True, False], [False, False], [True, True]])
    assert measures.mean_where(values, selected).tolist() == [1.0, 5.5]
