"""Audio that does not belong to the frames, for the baselines of a test: another clip's, silence, white noise."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tavlo_pl.types import Batch


def mismatched_order(number: int, count: int) -> Iterator[int]:
    """Positions of the clips whose audio may replace a clip's, best first: half the list away, then the following ones.

    Args:
        number: position of the clip.
        count: number of clips; a clip is its own replacement only in a list of one.
    """
    for step in range(count):
        other = (number + count // 2 + step) % count
        if other != number or count == 1:
            yield other


def add_mismatched_spectrograms(batch: Batch, audio_transform: nn.Module) -> None:
    """Adds the spectrograms of mismatched audio, silence and white noise to a test batch.

    Args:
        batch: with ``waveform`` and ``mismatched_waveform`` (B, L), on the device of ``audio_transform``.
        audio_transform: the transform.
    """
    batch["mismatched_spectrogram"] = audio_transform(batch["mismatched_waveform"])
    batch["silence_spectrogram"] = audio_transform(torch.zeros_like(batch["waveform"]))
    batch["noise_spectrogram"] = audio_transform(white_noise(batch["waveform"]))


def white_noise(waveform: Tensor) -> Tensor:
    """White noise with the root mean square of each waveform.

    Args:
        waveform: (B, L).

    Returns:
        (B, L), the same noise for all clips and batches up to its level.
    """
    noise = torch.randn(waveform.shape[-1], generator=torch.Generator().manual_seed(0)).to(waveform.device)
    return noise * waveform.square().mean(-1, keepdim=True).sqrt()
