"""The terms of the objective against hand-computed values."""

import math
from dataclasses import replace

import pytest
import torch

from tavlo_pl.errors import ConfigError
from tavlo_pl.losses.objective import (
    AudioNegatives,
    MILObjective,
    ObjectiveConfig,
    mismatch_peak_loss,
    ranking_loss,
    silence_loss,
)

B, T, HW, D = 3, 4, 5, 8


def test_ranking_loss_equals_hand_computed_values() -> None:
    loss = ranking_loss(torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 0.0]]), temperature=0.5)
    assert loss.item() == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2)) / 2, abs=1e-6)


def test_mismatch_peak_loss_ignores_matched_pairs() -> None:
    scores = torch.zeros(3, 3, 2, 4)
    scores[torch.arange(3), torch.arange(3), :, 1] = 1.0  # matched pairs may have a peak
    assert mismatch_peak_loss(scores.amax(-1), scores.mean(-1), 0.1).item() == pytest.approx(0, abs=1e-6)
    scores[0, 1, :, 2] = 0.8  # one mismatched pair of six: 0.8 at the peak, 0.2 in the mean
    loss = mismatch_peak_loss(scores.amax(-1), scores.mean(-1), 0.1)
    assert loss.item() == pytest.approx((0.8 - 0.2) / 0.1 / 6, abs=1e-5)


def test_silence_loss_equals_hand_computed_values() -> None:
    positives = torch.tensor([[0.8, 0.4, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]])
    silent = torch.tensor([[False, False, True, True], [False] * 4])  # the second clip has no silent segment
    expected = math.log(1 + math.exp(-(0.6 - 0.1) / 0.5))
    assert silence_loss(positives, silent, 0.5).item() == pytest.approx(expected, abs=1e-6)
    assert silence_loss(positives, torch.zeros_like(silent), 0.5).item() == 0


def test_objective_loss_is_the_sum_of_its_terms() -> None:
    torch.manual_seed(0)
    valid = torch.tensor([[True] * 4, [True, True, False, True]])
    silence, matched, shifted = torch.randn(2, T, D), torch.randn(2, B, T, D), torch.randn(2, B, T, D)
    negatives = AudioNegatives(silence, matched, shifted, valid)
    silent = torch.tensor([[False, True, False, False]]).expand(B, T)
    found = MILObjective(ObjectiveConfig())(torch.randn(B, T, D), torch.randn(B, T, HW, D), negatives, silent)
    names = {"mil", "time_shifted", "envelope_matched", "silence", "mismatch_peak"}
    assert set(found) == {"loss", "retrieval", *(f"{name}_loss" for name in names)}
    total = sum(value for name, value in found.items() if name.endswith("_loss"))
    assert found["loss"].item() == pytest.approx(float(total), abs=1e-5)


def test_objective_without_weights_is_the_contrastive_term() -> None:
    torch.manual_seed(0)
    config = ObjectiveConfig("max", "mean", 0.03, 0, 0, 0, 0.0, 0.0)
    assert not config.needs_negatives
    found = MILObjective(config)(torch.randn(B, T, D), torch.randn(B, T, HW, D))
    assert set(found) == {"loss", "retrieval", "mil_loss"} and found["loss"] == found["mil_loss"]


def test_time_shifted_term_ignores_segments_that_are_not_valid() -> None:
    torch.manual_seed(0)
    visual, shifted = torch.randn(B, T, HW, D), torch.randn(2, B, T, D)
    other = shifted.clone()
    other[1, :, 2] = torch.randn(B, D)

    def term(audio: torch.Tensor, *, all_valid: bool) -> torch.Tensor:
        valid = torch.tensor([[True] * T, [True, True, all_valid, True]])
        negatives = AudioNegatives(audio[0, :0], audio[:0], audio, valid)
        return MILObjective(ObjectiveConfig()).time_shifted(negatives, visual)

    assert term(shifted, all_valid=False) == term(other, all_valid=False)
    assert term(shifted, all_valid=True) != term(other, all_valid=True)
    uniform = shifted[:1].expand(2, -1, -1, -1)  # a shift that changes nothing
    assert term(uniform, all_valid=True).item() == pytest.approx(math.log(2), abs=1e-5)


def test_time_shifted_term_leaves_out_clips_that_do_not_move() -> None:
    torch.manual_seed(0)
    visual, shifted = torch.randn(B, T, HW, D), torch.randn(3, B, T, D)

    def term(clips: slice, moving: list[bool] | None) -> float:
        chosen = None if moving is None else torch.tensor(moving)
        audio = shifted[:, clips]
        negatives = AudioNegatives(audio[0, :0], audio[:0], audio, torch.ones(3, T, dtype=torch.bool), chosen)
        return MILObjective(ObjectiveConfig()).time_shifted(negatives, visual[clips]).item()

    everything = slice(None)
    assert term(everything, [True] * B) == pytest.approx(term(everything, None), rel=1e-6)
    assert term(everything, [True] + [False] * (B - 1)) == pytest.approx(term(slice(0, 1), None), rel=1e-6)
    assert term(everything, [False] * B) == 0


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"num_silent": -1}, {"silence_weight": -0.5}])
def test_objective_rejects_options_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"model\.objective"):
        MILObjective(replace(ObjectiveConfig(), **wrong))
