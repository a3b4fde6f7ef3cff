"""What all image-level models share."""

import pytest
import torch
from torch import Tensor

from tavlo_pl.models.ezvsl import EZVSL
from tavlo_pl.nn.clip_audio import AudioResNet18
from tavlo_pl.nn.visual import ShuffleNet


@torch.no_grad()
def test_frames_are_encoded_once_for_several_spectrograms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = EZVSL(ShuffleNet(), AudioResNet18(), width=16).eval()
    draw = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8, generator=draw)
    spectrograms = [torch.randn(2, 1, 64, 30, generator=draw) for _ in range(3)]
    alone = [model.localize(frames, spectrogram) for spectrogram in spectrograms]
    calls: list[Tensor] = []
    encode = model.encode_frames
    monkeypatch.setattr(model, "encode_frames", lambda images: (calls.append(images), encode(images))[1])
    together = model.localize_each(frames, spectrograms)
    assert len(calls) == 1
    for found, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
