"""What TAVLO's options do."""

import pytest
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.visual import ShuffleNet

SEGMENTS = 4


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
            model = small(audio_visual_link=link)
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
    scalars = small(temperature=100.0).training_loss(*clips)
    assert scalars["loss"].item() == pytest.approx(2 * torch.tensor(2.0).log().item(), abs=0.02)
    assert 0 <= scalars["retrieval"] <= 1


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="no multiple of 5 heads"):
        small(heads=5)
