"""The probes' figures against maps whose answer is known."""

import pytest
import torch

from tavlo_pl.diagnose import measures

N, K, T, H, W = 5, 3, 4, 6, 6


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


def test_a_map_moves_by_its_shape_and_not_by_its_level() -> None:
    own = draw(N, T, H, W)
    assert torch.allclose(measures.moved(own, 3 * own + 1), torch.zeros(N).double(), atol=1e-6)
    assert torch.allclose(measures.moved(own, -own), torch.full((N,), 2.0).double(), atol=1e-6)
    half_moved = torch.stack([own, -own], 1)
    assert torch.allclose(measures.moved(own, half_moved), torch.ones(N).double(), atol=1e-6)


def test_flat_maps_agree_with_each_other_only() -> None:
    flat = torch.full((N, T, H, W), 0.3)
    assert torch.equal(measures.moved(flat, flat + 0.1), torch.zeros(N).double())
    assert torch.equal(measures.moved(flat, draw(N, T, H, W)), torch.ones(N).double())


def test_pairs_are_scored_with_the_sound_and_the_picture_that_belong_to_them() -> None:
    """Score (p, s) of picture p with sound s is the number 10p + s."""
    picture, sound = torch.arange(N)[:, None], (torch.arange(N)[:, None] + 1 + torch.arange(K)) % N

    def as_map(score: torch.Tensor) -> torch.Tensor:
        return score[..., None, None, None].float().expand(*score.shape, T, H, W)

    scores = measures.pair_scores(as_map(11 * torch.arange(N)), as_map(10 * picture + sound))
    assert scores.matched.tolist() == [0, 11, 22, 33, 44]
    assert scores.other_sounds[3].tolist() == [34, 30, 31]
    assert sorted(scores.other_pictures[3].tolist()) == [3, 13, 23]  # sound 3 with pictures 0, 1 and 2


def test_a_tie_is_found_as_often_as_chance_has_it() -> None:
    matched = torch.tensor([1.0, 1.0, 1.0])
    others = torch.tensor([[0.0, 0.5], [1.0, 1.0], [1.0, 2.0]])
    assert measures.retrieved(matched, others).tolist() == pytest.approx([1, 1 / 3, 0])


def components() -> dict[str, torch.Tensor]:
    """Scores (clip, sound, T, h, w) of pure kinds, each of variance 1 over what it depends on."""
    return {
        "position": draw(H, W).expand(400, 1 + K, 1, H, W),
        "picture": draw(400, 1, 1, H, W).expand(-1, 1 + K, -1, -1, -1),
        "sound_level": draw(400, 1 + K, 1, 1, 1).expand(-1, -1, -1, H, W),
        "sound_where": draw(400, 1 + K, 1, H, W, 1)[..., 0],
    }


@pytest.mark.parametrize("kind", ["position", "picture", "sound_level", "sound_where"])
def test_variance_is_put_down_to_what_makes_it(kind: str) -> None:
    scores = components()[kind].repeat(1, 1, T, 1, 1)
    shares = measures.variance_shares(scores[:, 0], scores[:, 1:])._asdict()
    assert shares[kind].mean() > 0.95
    assert sum(float(share.mean()) for share in shares.values()) == pytest.approx(1)


def test_mixed_variance_is_shared_out() -> None:
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
    assert means["picture"] == pytest.approx(1 / 7, abs=0.05)
    assert means["sound_level"] + means["sound_where"] == pytest.approx(2 / 7, abs=0.05)


def test_a_model_of_one_score_has_no_variance_to_share() -> None:
    shares = measures.variance_shares(torch.ones(N, T, H, W), torch.ones(N, K, T, H, W))
    assert not any(share.any() for share in shares)


def test_lit_is_the_share_of_pixels_that_reach_the_threshold() -> None:
    maps = torch.zeros(2, T, 2, 2)
    maps[0, :, 0] = 1
    assert measures.lit(maps, 0.5, 8).mean(1).tolist() == [0.5, 0.0]


def test_a_figure_has_the_interval_of_its_clips() -> None:
    figure = measures.Figure.of(torch.tensor([0.0, 1.0, 1.0, 0.0]), torch.tensor([3, 3, 4, 4]))
    assert figure == (0.5, 0.5, 0.5)  # both clips have the same mean
    spread = measures.Figure.of(torch.tensor([0.0, 1.0]))
    assert (spread.low, spread.value, spread.high) == (0.0, 0.5, 1.0)


def test_mean_where_leaves_out_clips_without_a_choice() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    chosen = torch.tensor([[True, False], [False, False], [True, True]])
    assert measures.mean_where(values, chosen).tolist() == [1.0, 5.5]
