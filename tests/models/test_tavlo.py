"""What TAVLO's options do."""

import math

import pytest
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.visual import ResNet18, ShuffleNet

SEGMENTS = 4
NOTHING_MORE = {
    "num_time_shifted": 0,
    "num_envelope_matched": 0,
    "num_silent": 0,
    "mixed_weight": 0.0,
    "mismatch_peak_weight": 0.0,
    "silence_weight": 0.0,
}


def small(**options: object) -> TAVLO:
    torch.manual_seed(0)
    return TAVLO(
        ShuffleNet(), **({"width": 24, "temporal_width": 8, "heads": 4, "audio_channels": (8, 8)} | options)
    ).eval()  # type: ignore[arg-type]


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (2, SEGMENTS, 3, 32, 32), dtype=torch.uint8, generator=draw)
    return frames, torch.randn(2, 1, 64, SEGMENTS * 10, generator=draw)


def test_published_form_leaks_the_sound_into_the_picture_and_the_recommended_does_not(
    clips: tuple[Tensor, Tensor],
) -> None:
    frames, sound = clips
    with torch.no_grad():
        for link, moved in ((True, True), (False, False)):
            model = small(cross_modal=link)
            own, other = model.encode(frames, sound)[1], model.encode(frames, sound.roll(1, 0))[1]
            assert bool((own - other).abs().max() > 1e-5) is moved


def test_order_of_frames_matters_with_temporal_encoding_and_not_without_attention(
    clips: tuple[Tensor, Tensor],
) -> None:
    """Shuffling the segments of both modalities only permutes the maps, unless the clock is known."""
    frames, sound = clips
    order = torch.tensor([2, 0, 3, 1])
    columns = (order[:, None] * 10 + torch.arange(10)).flatten()
    for options, follows in (({}, False), ({"temporal_width": 0}, True), ({"layers": 0}, True)):
        model = small(**options)
        with torch.no_grad():
            straight = model.localize(frames, sound)[:, order]
            shuffled = model.localize(frames[:, order], sound[..., columns])
        assert torch.allclose(straight, shuffled, atol=1e-5) is follows, options


def test_loss_of_a_fresh_model_is_that_of_chance(clips: tuple[Tensor, Tensor]) -> None:
    """Two clips, three quiet sounds beside them, one shifted sound."""
    scalars = small(temperature=100.0, num_time_shifted=1, num_silent=3).training_loss(*clips)
    assert scalars["mil_loss"].item() == pytest.approx(math.log(2) + math.log(5), abs=0.02)
    assert scalars["shifted_loss"].item() == pytest.approx(math.log(2), abs=0.02)
    assert 0 <= scalars["retrieval"] <= 1


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="no multiple of 5 heads"):
        small(heads=5)


def test_extra_sounds_add_their_losses_and_can_be_left_out(clips: tuple[Tensor, Tensor]) -> None:
    plain = small(**NOTHING_MORE).training_loss(*clips)
    full = small(num_time_shifted=2, num_envelope_matched=1, num_silent=2, mixed_weight=0.5).training_loss(*clips)
    assert set(full) - set(plain) == {"shifted_loss", "rhythm_loss", "mixed_loss", "flat_loss", "pause_loss"}
    parts = sum(value.item() for name, value in full.items() if name.endswith("_loss"))
    assert full["loss"].item() == pytest.approx(parts, abs=1e-5)


def test_draws_of_a_step_are_the_same_again(clips: tuple[Tensor, Tensor]) -> None:
    model = small(num_time_shifted=1, num_silent=3)
    first = model.training_loss(*clips)["loss"]
    torch.manual_seed(5)
    assert torch.equal(model.training_loss(*clips)["loss"], first)


@pytest.mark.parametrize("residual", [False, True])
def test_fused_pairs_are_scored_as_wholes(clips: tuple[Tensor, Tensor], residual: bool) -> None:
    model = small(cross_modal=True, rolled_pairs=3, residual=residual, temperature=100.0).train()
    scalars = model.training_loss(*clips)
    assert scalars["loss"].item() == pytest.approx(math.log(2), abs=0.02)  # two clips: one mismatch is all there is
    scalars["loss"].backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("options", [{"rolled_pairs": 2}, {"residual": True}, {"cross_modal": True, "residual": True}])
def test_fused_pairs_need_the_link(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="residual"):
        small(**options)


def test_temporal_attention_of_every_token(clips: tuple[Tensor, Tensor]) -> None:
    for link in (False, True):
        model = small(layers=2, cross_modal=link)
        with torch.no_grad():
            weights = model.temporal_attention(*clips)
        assert weights.shape == (2, 2, 1 + 16, SEGMENTS, SEGMENTS)
        assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
        assert not torch.allclose(weights[:, :, 0], weights[:, :, 1], atol=1e-3)


@pytest.mark.parametrize("recompute", ["blocks", "all"])
def test_recomputation_changes_no_gradient_and_no_statistics(clips: tuple[Tensor, Tensor], recompute: str) -> None:
    plain, again = small(layers=2).train(), small(layers=2, recompute=recompute).train()
    assert_same_step(plain, again, clips)


def test_recomputation_of_a_trunk_that_works_in_place(clips: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    plain = TAVLO(ResNet18("none"), width=24, temporal_width=8, heads=4, audio_channels=(8, 8)).train()
    again = TAVLO(ResNet18("none"), width=24, temporal_width=8, heads=4, audio_channels=(8, 8), recompute="all").train()
    again.load_state_dict(plain.state_dict())
    assert_same_step(plain, again, (clips[0][:, :2, :, :, :], clips[1][..., :20]))


def assert_same_step(plain: TAVLO, again: TAVLO, clips: tuple[Tensor, Tensor]) -> None:
    for model in (plain, again):
        model.training_loss(*clips)["loss"].backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)
    for one, other in zip(plain.buffers(), again.buffers(), strict=True):
        assert torch.equal(one, other)


def test_recomputation_keeps_less(clips: tuple[Tensor, Tensor]) -> None:
    sizes = []
    for recompute in ("none", "blocks", "all"):
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = small(layers=2, recompute=recompute).train().training_loss(*clips)["loss"]
        sizes.append(sum(kept.values()))
        del loss
    assert sizes[0] > 1.3 * sizes[1] and sizes[1] > 1.3 * sizes[2]


def test_compiled_parts_give_the_same_loss_and_keep_the_names_of_weights(clips: tuple[Tensor, Tensor]) -> None:
    """With the backend that traces and compiles nothing: writing machine code takes minutes."""
    plain, compiled = small().train(), small(compiler="eager").train()
    losses = [model.training_loss(*clips)["loss"] for model in (plain, compiled)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    losses[1].backward()
    assert all(p.grad is not None for p in compiled.parameters())
    assert list(plain.state_dict()) == list(compiled.state_dict())
    assert torch.allclose(plain.temporal_attention(*clips), compiled.temporal_attention(*clips), atol=1e-5)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_mixed_precision_keeps_scores_and_losses_in_full(clips: tuple[Tensor, Tensor], kind: torch.dtype) -> None:
    model = small().train()
    full = model.training_loss(*clips)
    with torch.autocast("cpu", dtype=kind):
        mixed = model.training_loss(*clips)
        heatmap = model.localize(*clips)
    assert {value.dtype for value in mixed.values()} == {heatmap.dtype} == {torch.float32}
    assert mixed["loss"].item() == pytest.approx(full["loss"].item(), rel=0.02)
    (mixed["loss"] * 1024).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
