"""What the model is shown in each trial."""

import pytest
import torch
from torch import Tensor

from tavlo_pl.diagnose.perturbations import shuffled_order, try_out
from tavlo_pl.diagnose.synthetic_audio import made_up

N, T, SECONDS, RATE_HZ = 5, 4, 1, 8000


def test_every_map_is_that_of_the_trial_it_is_named_after() -> None:
    """Cells say what is seen at the left, what is seen at the right, and what is heard."""
    frames = torch.zeros(N, T, 3, 8, 8, dtype=torch.uint8)
    frames[..., 0] = (10 * torch.arange(N)[:, None] + torch.arange(T)).to(torch.uint8)[..., None, None]
    waveform = (100 + 10 * torch.arange(N)[:, None] + torch.arange(T)).float()

    def log_mel(sound: Tensor) -> Tensor:
        return sound[:, None, None]  # a column a segment

    def localize(seen: Tensor, heard: Tensor) -> Tensor:
        assert seen.dtype == torch.uint8 and len(seen) == len(heard) <= 2
        return torch.stack([seen[..., 0, 0, 0].float(), seen[..., 0, 0, -1].float(), heard[:, 0, 0]], -1)[..., None, :]

    maps = try_out(localize, frames, waveform, log_mel, RATE_HZ, batch_size=2)
    left, right, heard = (maps.own[..., 0, cell] for cell in range(3))
    assert torch.equal(left[3], torch.tensor([30.0, 31, 32, 33])) and not right.any()
    assert torch.equal(heard[3], torch.tensor([130.0, 131, 132, 133]))
    assert maps.wrong.shape[1] == N - 1  # every other clip, as there are fewer than would be shown
    assert maps.wrong[3, :, 0, 0, 2].tolist() == [140, 100, 110, 120]
    assert torch.equal(maps.wrong[..., 0, 0], left[:, None].expand(-1, N - 1, -1))
    assert maps.shifted[3, :, :, 0, 2].tolist() == [[133, 130, 131, 132], [132, 133, 130, 131]]
    assert torch.equal(maps.shuffled[..., 0, 0], left)  # the frame's place, with another moment's sound
    assert (maps.shuffled[..., 0, 2] != heard).all()
    assert torch.equal(maps.frozen[..., 0, 0], left[:, 2:3].expand(-1, T))
    assert torch.equal(maps.frozen[..., 0, 2], heard)
    assert torch.equal(maps.flipped[..., 0, 1], left) and not maps.flipped[..., 0, 0].any()
    assert not maps.made_up["silence"][..., 0, 2].any()


@pytest.mark.parametrize("segments", range(2, 13))
def test_no_frame_stays_where_it_was(segments: int) -> None:
    order = shuffled_order(segments)
    assert order.sort().values.tolist() == list(range(segments))
    assert not (order == torch.arange(segments)).any()


def test_noises_are_as_loud_as_the_sounds_they_stand_in_for() -> None:
    waveform = torch.randn(2, SECONDS * RATE_HZ) * torch.tensor([[0.5], [0.01]])
    sounds = made_up(waveform, RATE_HZ)
    assert not sounds.pop("silence").any()
    for sound in sounds.values():
        assert torch.allclose(sound.square().mean(-1), waveform.square().mean(-1), rtol=1e-4)


def test_speech_shaped_noise_falls_by_9_db_an_octave() -> None:
    sound = made_up(torch.ones(1, 60 * RATE_HZ), RATE_HZ)["speech_shaped_noise"]
    power = torch.fft.rfft(sound).abs().square()[0]  # 1/60 Hz a bin

    def decibel(frequency_hz: int) -> float:
        return float(10 * power[60 * (frequency_hz - 20) : 60 * (frequency_hz + 20)].mean().log10())

    assert decibel(200) == pytest.approx(decibel(400), abs=0.5)
    assert decibel(1000) - decibel(2000) == pytest.approx(9, abs=0.6)
