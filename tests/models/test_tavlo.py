"""Effects of TAVLO's options."""

import math

import pytest
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.attention import AttentionConfig
from tavlo_pl.nn.audio import SegmentCNN
from tavlo_pl.nn.visual import ResNet18, ShuffleNet
from tests.helpers.models import CONTRASTIVE_ONLY, small_tavlo

SEGMENTS = 4
CROSS_MODAL = {"cross_modal": True, **CONTRASTIVE_ONLY}


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (2, SEGMENTS, 3, 32, 32), dtype=torch.uint8, generator=draw)
    return frames, torch.randn(2, 1, 64, SEGMENTS * 10, generator=draw)


def test_cross_modal_attention_mixes_audio_into_visual_tokens(clips: tuple[Tensor, Tensor]) -> None:
    frames, spectrogram = clips
    with torch.no_grad():
        for options, moved in ((CROSS_MODAL, True), ({}, False)):
            model = small_tavlo(**options)
            own, other = model.encode(frames, spectrogram)[1], model.encode(frames, spectrogram.roll(1, 0))[1]
            assert bool((own - other).abs().max() > 1e-5) is moved


def test_windows_that_share_frames_have_the_maps_of_each_alone(clips: tuple[Tensor, Tensor]) -> None:
    frames, spectrogram = clips
    windows = torch.tensor([[0, 1, 2, 3], [2, 3, 4, 5]])
    model = small_tavlo().eval()
    with torch.no_grad():
        features = model.frame_features(frames.flatten(0, 1))
        heatmap, sounds = model.localize_windows(features, windows, spectrogram)
        alone, none = AVLocalizer.localize_windows(model, frames.flatten(0, 1), windows, spectrogram)
    torch.testing.assert_close(heatmap, alone, rtol=0, atol=1e-6)
    assert sounds.shape == none.shape == (2, SEGMENTS, 0)


def test_finer_maps_contain_the_scores_of_the_cells(clips: tuple[Tensor, Tensor]) -> None:
    with torch.no_grad():
        coarse, fine = (small_tavlo(upsampling=times).localize(*clips) for times in (1, 3))
    assert fine.shape[2:] == (3 * coarse.shape[2], 3 * coarse.shape[3])
    torch.testing.assert_close(fine[..., 1::3, 1::3], coarse, rtol=0, atol=1e-5)
    assert fine.abs().max() <= 1
    for times in (0, 9):
        with pytest.raises(ConfigError, match=rf"model\.upsampling is {times}; it must be 1 to 8"):
            small_tavlo(upsampling=times)


def test_segment_order_matters_with_temporal_encoding_only(clips: tuple[Tensor, Tensor]) -> None:
    """Without Pos_t and modules that are relative in time, shuffling the segments only permutes the maps."""
    frames, spectrogram = clips
    order = torch.tensor([2, 0, 3, 1])
    columns = (order[:, None] * 10 + torch.arange(10)).flatten()
    timeless: dict[str, object] = {"temporal_width": 0, "temporal_kernel": 0, "temporal_average": None}
    for options, equal in (
        ({}, False),
        (timeless, True),
        (timeless | {"num_layers": 0}, True),
        (timeless | {"temporal_width": 8}, False),
        (timeless | {"temporal_kernel": 3}, False),
        (timeless | {"temporal_average": (0.4, 0.3)}, False),
    ):
        model = small_tavlo(**options)
        with torch.no_grad():
            permuted = model.localize(frames, spectrogram)[:, order]
            shuffled = model.localize(frames[:, order], spectrogram[..., columns])
        assert torch.allclose(permuted, shuffled, atol=1e-5) is equal, options


def test_untrained_model_has_the_loss_of_chance(clips: tuple[Tensor, Tensor]) -> None:
    """Two clips, three silent negatives, one time-shifted negative."""
    scalars = small_tavlo(temperature=100.0, num_time_shifted=1, num_silent=3).training_loss(*clips)
    assert scalars["mil_loss"].item() == pytest.approx(math.log(2) + math.log(5), abs=0.02)
    assert scalars["time_shifted_loss"].item() == pytest.approx(math.log(2), abs=0.02)
    assert 0 <= scalars["retrieval"] <= 1


def test_width_must_be_a_multiple_of_num_heads() -> None:
    with pytest.raises(ConfigError, match="num_heads 5"):
        small_tavlo(num_heads=5)


def test_negatives_add_their_losses(clips: tuple[Tensor, Tensor]) -> None:
    plain = small_tavlo(**CONTRASTIVE_ONLY).training_loss(*clips)
    full = small_tavlo(num_time_shifted=2, num_envelope_matched=1, num_silent=2).training_loss(*clips)
    assert set(full) - set(plain) == {
        "time_shifted_loss",
        "envelope_matched_loss",
        "silence_loss",
        "mismatch_peak_loss",
    }


def test_a_static_clip_has_no_time_shifted_audio(clips: tuple[Tensor, Tensor]) -> None:
    frames, audio = clips
    static = frames[:, :1].expand_as(frames)
    model = small_tavlo(num_time_shifted=2)
    losses = []
    for shown in (frames, torch.stack([frames[0], static[1]]), static):
        torch.manual_seed(0)
        losses.append(model.training_loss(shown, audio)["time_shifted_loss"].item())
    torch.manual_seed(0)
    alone = model.training_loss(frames[:1], audio[:1])["time_shifted_loss"].item()
    assert losses[2] == 0 and losses[0] != losses[1] == pytest.approx(alone, rel=1e-5)


def test_training_loss_depends_on_the_seed(clips: tuple[Tensor, Tensor]) -> None:
    model = small_tavlo(num_time_shifted=1, num_silent=3)
    losses = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        losses.append(model.training_loss(*clips)["loss"])
    assert torch.equal(losses[0], losses[1]) and not torch.equal(losses[0], losses[2])


def test_cross_modal_attention_rejects_audio_negatives() -> None:
    with pytest.raises(ConfigError, match="audio negatives cannot be scored"):
        small_tavlo(cross_modal=True)


def test_the_average_over_time_is_not_trained(clips: tuple[Tensor, Tensor]) -> None:
    own, averaged = small_tavlo(temporal_average=None), small_tavlo()
    assert own.state_dict().keys() == averaged.state_dict().keys()
    torch.manual_seed(1)
    loss = own.training_loss(*clips)["loss"]
    torch.manual_seed(1)
    assert torch.equal(loss, averaged.training_loss(*clips)["loss"])
    with torch.no_grad():
        assert not torch.allclose(own.localize(*clips), averaged.localize(*clips), atol=1e-3)


def test_audio_of_another_width_is_projected(clips: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(0)
    model = TAVLO(ShuffleNet(), SegmentCNN(10, (8,)), 24, AttentionConfig(num_heads=4, temporal_width=8))
    assert model.encode_audio(clips[1], SEGMENTS).shape == (2, SEGMENTS, 24)


def test_temporal_attention_has_weights_of_every_token(clips: tuple[Tensor, Tensor]) -> None:
    for options, layers in (({}, 2), (CROSS_MODAL, 2)):
        model = small_tavlo(num_layers=2, **options)
        with torch.no_grad():
            weights = model.temporal_attention(*clips)
        assert weights.shape == (2, layers, 1 + 16, SEGMENTS, SEGMENTS)
        assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
        assert not torch.allclose(weights[:, :, 0], weights[:, :, 1], atol=1e-3)


@pytest.mark.parametrize("part", ["blocks", "all"])
def test_checkpointing_keeps_gradient_and_statistics(clips: tuple[Tensor, Tensor], part: str) -> None:
    plain, again = small_tavlo(num_layers=2).train(), small_tavlo(num_layers=2, activation_checkpointing=part).train()
    assert_same_step(plain, again, clips)


def test_checkpointing_works_with_in_place_layers(clips: tuple[Tensor, Tensor]) -> None:
    plain = small_tavlo(ResNet18("none")).train()
    again = small_tavlo(ResNet18("none"), activation_checkpointing="all").train()
    again.load_state_dict(plain.state_dict())
    assert_same_step(plain, again, (clips[0][:, :2, :, :, :], clips[1][..., :20]))


def assert_same_step(plain: TAVLO, again: TAVLO, clips: tuple[Tensor, Tensor]) -> None:
    for model in (plain, again):
        torch.manual_seed(1)
        model.training_loss(*clips)["loss"].backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)
    for one, other in zip(plain.buffers(), again.buffers(), strict=True):
        assert torch.equal(one, other)


def test_checkpointing_stores_less_memory(clips: tuple[Tensor, Tensor]) -> None:
    sizes = []
    for part in ("none", "blocks", "all"):
        kept: dict[int, int] = {}

        def keep(tensor: Tensor, kept: dict[int, int] = kept) -> Tensor:
            kept[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = small_tavlo(num_layers=2, activation_checkpointing=part).train().training_loss(*clips)["loss"]
        sizes.append(sum(kept.values()))
        del loss
    assert sizes[0] > 1.3 * sizes[1] and sizes[1] > 1.3 * sizes[2]


@pytest.mark.slow
def test_compile_keeps_the_loss_and_the_weight_names(clips: tuple[Tensor, Tensor]) -> None:
    """Uses the backend ``eager``, which traces only: code generation takes minutes."""
    plain, compiled = small_tavlo().train(), small_tavlo(compile="eager").train()
    losses = []
    for model in (plain, compiled):
        torch.manual_seed(1)
        losses.append(model.training_loss(*clips)["loss"])
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    losses[1].backward()
    assert all(p.grad is not None for p in compiled.parameters())
    assert list(plain.state_dict()) == list(compiled.state_dict())
    assert torch.allclose(plain.temporal_attention(*clips), compiled.temporal_attention(*clips), atol=1e-5)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_mixed_precision_keeps_scores_and_losses_in_float32(clips: tuple[Tensor, Tensor], kind: torch.dtype) -> None:
    model = small_tavlo().train()
    torch.manual_seed(1)
    full = model.training_loss(*clips)
    torch.manual_seed(1)
    with torch.autocast("cpu", dtype=kind):
        mixed = model.training_loss(*clips)
        heatmap = model.localize(*clips)
    assert {value.dtype for value in mixed.values()} == {heatmap.dtype} == {torch.float32}
    assert mixed["loss"].item() == pytest.approx(full["loss"].item(), rel=0.02)
    (mixed["loss"] * 1024).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())
