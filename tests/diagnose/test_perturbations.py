"""The input of the model under each perturbation."""

import pytest
import torch
from torch import Tensor

from tavlo_pl.diagnose.perturbations import perturbed_maps, shuffled_order
from tavlo_pl.diagnose.synthetic_audio import synthetic_audio

N, T, SECONDS, RATE_HZ = 5, 4, 1, 8000


def test_perturbed_maps_have_the_input_of_their_name() -> None:
    """The three cells of a map are the left pixel, the right pixel and the audio of the input."""
    frames = torch.zeros(N, T, 3, 8, 8, dtype=torch.uint8)
    frames[..., 0] = (10 * torch.arange(N)[:, None] + torch.arange(T)).to(torch.uint8)[..., None, None]
    waveform = (100 + 10 * torch.arange(N)[:, None] + torch.arange(T)).float()

    def log_mel(samples: Tensor) -> Tensor:
        return samples[:, None, None]  # one column per segment

    def localize(images: Tensor, spectrogram: Tensor) -> Tensor:
        assert images.dtype == torch.uint8 and len(images) == len(spectrogram) <= 2
        cells = [images[..., 0, 0, 0].float(), images[..., 0, 0, -1].float(), spectrogram[:, 0, 0]]
        return torch.stack(cells, -1)[..., None, :]

    maps = perturbed_maps(localize, frames, waveform, log_mel, RATE_HZ, batch_size=2)
    left, right, audio = (maps.own[..., 0, cell] for cell in range(3))
    assert torch.equal(left[3], torch.tensor([30.0, 31, 32, 33])) and not right.any()
    assert torch.equal(audio[3], torch.tensor([130.0, 131, 132, 133]))
    assert maps.mismatched.shape[1] == N - 1  # all other clips, because there are fewer than MISMATCHED
    assert maps.mismatched[3, :, 0, 0, 2].tolist() == [140, 100, 110, 120]
    assert torch.equal(maps.mismatched[..., 0, 0], left[:, None].expand(-1, N - 1, -1))
    assert maps.shifted[3, :, :, 0, 2].tolist() == [[133, 130, 131, 132], [132, 133, 130, 131]]
    assert torch.equal(maps.shuffled[..., 0, 0], left)  # in the original order, with the audio of another segment
    assert (maps.shuffled[..., 0, 2] != audio).all()
    assert torch.equal(maps.frozen[..., 0, 0], left[:, 2:3].expand(-1, T))
    assert torch.equal(maps.frozen[..., 0, 2], audio)
    assert torch.equal(maps.mirrored[..., 0, 1], left) and not maps.mirrored[..., 0, 0].any()
    assert not maps.synthetic["silence"][..., 0, 2].any()


@pytest.mark.parametrize("segments", range(2, 13))
def test_shuffled_order_has_no_fixed_point(segments: int) -> None:
    order = shuffled_order(segments)
    assert order.sort().values.tolist() == list(range(segments))
    assert not (order == torch.arange(segments)).any()


def test_synthetic_noises_have_the_level_of_the_clip() -> None:
    waveform = torch.randn(2, SECONDS * RATE_HZ) * torch.tensor([[0.5], [0.01]])
    by_name = synthetic_audio(waveform, RATE_HZ)
    assert not by_name.pop("silence").any()
    for noise in by_name.values():
        assert torch.allclose(noise.square().mean(-1), waveform.square().mean(-1), rtol=1e-4)


def test_speech_shaped_noise_falls_by_9_db_per_octave() -> None:
    noise = synthetic_audio(torch.ones(1, 60 * RATE_HZ), RATE_HZ)["speech_shaped_noise"]
    power = torch.fft.rfft(noise).abs().square()[0]  # 1/60 Hz per bin

    def decibel(frequency_hz: int) -> float:
        return float(10 * power[60 * (frequency_hz - 20) : 60 * (frequency_hz + 20)].mean().log10())

    assert decibel(200) == pytest.approx(decibel(400), abs=0.5)
    assert decibel(1000) - decibel(2000) == pytest.approx(9, abs=0.6)
