"""Common and individual parts of the image-level peers; the losses are tested in tests/losses."""

import pytest
import torch
from torch import Tensor

from tavlo_pl.errors import ConfigError
from tavlo_pl.models.ezvsl import EZVSL
from tavlo_pl.models.fnac import FNAC
from tavlo_pl.models.image_level import ImageLevel
from tavlo_pl.models.lvs import LVS
from tavlo_pl.models.slavc import SLAVC
from tavlo_pl.models.ssltie import SSLTIE
from tavlo_pl.nn.clip_audio import AudioResNet18, SmallAudio
from tavlo_pl.nn.visual import ResNet18, ShuffleNet

SEGMENTS = 5
PEERS = [EZVSL, FNAC, LVS, SLAVC, SSLTIE]


def small(peer: type[ImageLevel], **options: object) -> ImageLevel:
    torch.manual_seed(0)
    return peer(ShuffleNet(), SmallAudio(116, (8,)), **options).eval()  # type: ignore[call-arg]


@pytest.fixture
def clips() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 256, (3, SEGMENTS, 3, 32, 32), dtype=torch.uint8, generator=draw)
    return frames, torch.randn(3, 1, 16, SEGMENTS * 8, generator=draw)


@pytest.mark.parametrize(
    ("peer", "stride", "unused", "published"),
    [
        (EZVSL, 32, 0, 22.9),
        (FNAC, 32, 0, 22.9),
        (SLAVC, 32, 0, 46.8),
        (LVS, 16, 2 * 513_000 + 50_176, 23.4),  # two classifiers, first layers of other modalities
        (SSLTIE, 16, 2 * 513_000 + 50_176 + 524_804, 24.0),  # and a projection
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_parameters_and_cells_are_as_published(
    peer: type[ImageLevel], stride: int, unused: int, published: float
) -> None:
    model = peer(ResNet18("none", stride), AudioResNet18()).eval()  # type: ignore[arg-type,call-arg]
    count = sum(p.numel() for p in model.parameters()) + unused
    assert count / 1e6 == pytest.approx(published, abs=0.06)
    with torch.no_grad():
        maps = model.localize(torch.zeros(1, 1, 3, 224, 224, dtype=torch.uint8), torch.zeros(1, 1, 64, 67))
    assert maps.shape == (1, 1, 224 // stride, 224 // stride)


@pytest.mark.parametrize("peer", PEERS)
def test_audio_window_is_around_the_frame_or_the_clip(peer: type[ImageLevel], clips: tuple[Tensor, Tensor]) -> None:
    """The audio of the last segment changes; maps change where the window contains it."""
    frames, spectrogram = clips
    other = spectrogram.clone()
    other[..., -8:] = other[..., -8:].flip(-2) + 1
    for window, reached in (("around_frame", [False, False, False, True, True]), ("clip", [True] * SEGMENTS)):
        model = small(peer, audio_window=window)
        with torch.no_grad():
            moved = (model.localize(frames, spectrogram) - model.localize(frames, other)).abs().amax((0, 2, 3))
        assert (moved > 1e-6).tolist() == reached


def test_training_uses_a_random_frame_validation_the_middle(
    clips: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = torch.arange(SEGMENTS, dtype=torch.uint8)[None, :, None, None, None].expand(40, SEGMENTS, 3, 1, 1)
    spectrogram = torch.arange(SEGMENTS).repeat_interleave(2).float().expand(40, 1, 1, 2 * SEGMENTS)
    calls: list[tuple[Tensor, Tensor]] = []
    model = small(EZVSL)
    monkeypatch.setattr(model, "image_loss", lambda frames, audio: calls.append((frames, audio)) or {})
    for training, choice in ((True, "random"), (True, "random"), (True, "centre"), (False, "random")):
        model.train_frame = choice  # type: ignore[assignment]
        torch.manual_seed(3)
        model.train(training).training_loss(frames, spectrogram)
    numbers = [chosen[:, 0, 0, 0].long() for chosen, _ in calls]
    assert set(numbers[0].tolist()) == set(range(SEGMENTS)) and torch.equal(numbers[0], numbers[1])
    assert (numbers[2] == 2).all() and (numbers[3] == 2).all()
    for number, (_, audio) in zip(numbers, calls, strict=True):
        assert torch.equal(audio[:, 0, 0, 2].long(), number.clamp(1, SEGMENTS - 2))  # centre of its window
    with pytest.raises(ConfigError, match="window_segments is 0"):
        small(EZVSL, window_segments=0)


def test_slavc_maps_are_the_mean_of_two_momentum_heads(clips: tuple[Tensor, Tensor]) -> None:
    model = small(SLAVC, momentum=0.75)
    assert isinstance(model, SLAVC)
    cells, audio = model.momentum_encoder.encode_frames(clips[0][:, 0]), model.momentum_encoder.encode_audio(clips[1])
    two = [torch.einsum("nd,ndhw->nhw", a, v) for a, v in zip(audio, cells, strict=True)]
    both = model.localize(clips[0][:, :1], clips[1])[:, 0]
    assert torch.allclose(both, (two[0] + two[1]) / 2, atol=1e-5)
    old, new = model.momentum_encoder.instance.audio.weight, model.trained.instance.audio.weight
    before = old.clone()
    with torch.no_grad():
        new += 1
    model.training_loss(*clips)
    assert torch.equal(old, before)  # validation does not update it
    model.train().training_loss(*clips)
    assert torch.allclose(old, before + 0.25, atol=1e-6)


def test_fnac_regularises_after_its_warm_up(clips: tuple[Tensor, Tensor]) -> None:
    assert set(small(FNAC, warmup_epochs=1).training_loss(*clips)) == {"loss"}
    scalars = small(FNAC, warmup_epochs=0, tne_weight=7.0).training_loss(*clips)
    parts = sum(value for name, value in scalars.items() if name != "loss")
    assert len(scalars) == 5 and torch.isclose(scalars["loss"], torch.as_tensor(parts))
    assert torch.isclose(scalars["tne_loss"], small(FNAC, warmup_epochs=0).training_loss(*clips)["tne_loss"] * 0.07)


def test_ssltie_rotates_the_map_with_the_frame(clips: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    still = small(SSLTIE, max_angle_deg=0.0).training_loss(*clips)
    assert still["equivariance_loss"].item() == pytest.approx(0, abs=1e-8)
    assert still["loss"].item() == pytest.approx(small(LVS).training_loss(*clips)["loss"].item(), abs=1e-5)
    turned = small(SSLTIE, equivariance_weight=3.0).training_loss(*clips)
    assert turned["equivariance_loss"] > 1e-4
    assert torch.isclose(turned["loss"], turned["contrast_loss"] + 3 * turned["equivariance_loss"])
    bright = small(SSLTIE)  # its map is the brightness of the frame
    monkeypatch.setattr(bright, "encode_audio", lambda audio: torch.tensor([[1.0, 0.0]]).expand(len(audio), 2))
    monkeypatch.setattr(
        bright, "encode_frames", lambda f: torch.stack([f[:, 0] / 255, (1 - (f[:, 0] / 255) ** 2).sqrt()], 1)
    )
    assert bright.training_loss(*clips)["equivariance_loss"].item() == pytest.approx(0, abs=1e-8)


def test_lvs_encoders_must_have_the_same_width() -> None:
    with pytest.raises(ConfigError, match="116 features and the audio encoder 8"):
        LVS(ShuffleNet(), SmallAudio(8))


def test_lvs_with_a_width_projects_both_encoders(clips: tuple[Tensor, Tensor]) -> None:
    model = LVS(ShuffleNet(), SmallAudio(8), width=4, window_segments=1).eval()
    cells = model.encode_frames(clips[0][:, 0].float())
    assert cells.shape[1] == 4
    torch.testing.assert_close(cells.norm(dim=1), torch.ones_like(cells[:, 0]))
    model.training_loss(*clips)["loss"].backward()
    assert model.head is not None and model.head.audio.weight.grad is not None
