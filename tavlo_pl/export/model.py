"""A model with its audio front end as one module, from frames and samples to heatmaps, which exporters trace.

==============  ============================  ============================================================
name            shape, type                   meaning
==============  ============================  ============================================================
``frames``      (B, T, 3, H, W) uint8         one RGB frame a segment, 0..255, not normalised
``waveform``    (B, T, S) float32             mono in [-1, 1], 16 kHz, the S samples of each segment
``heatmap``     (B, T, h, w) float32          raw score of each cell at each segment, in [-1, 1]
==============  ============================  ============================================================

B and T are free; H, W, S are those of the clip format of the checkpoint.
"""

from typing import Any

import torch
from torch import Tensor, nn

from tavlo_pl import __version__
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.media import SAMPLE_RATE_HZ
from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.errors import ConfigError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.localizer import Localizer

INPUTS = ("frames", "waveform")
OUTPUT = "heatmap"


class ExportedModel(nn.Module):
    """The model of a checkpoint, with the spectrogram or columns of samples that it takes computed inside.

    Args:
        localizer: model and clip format.

    Raises:
        ConfigError: a segment has no whole number of samples, so that T cannot be free.
    """

    def __init__(self, localizer: Localizer) -> None:
        super().__init__()
        spec = localizer.spec
        if spec.samples % spec.segments:
            raise ConfigError(
                f"a segment of this checkpoint has {spec.samples / spec.segments:g} samples of audio; export needs a "
                "whole number: train with another data.clip.segments or data.clip.duration_s"
            )
        self.model: AVLocalizer = localizer.model  # type: ignore[assignment]  # `Localizer` states what it needs alone
        self.samples = spec.samples // spec.segments
        transform = spec.audio_transform()
        self.log_mel = transform if isinstance(transform, LogMel) else None
        self.columns_per_segment = spec.columns_per_segment

    def forward(self, frames: Tensor, waveform: Tensor) -> Tensor:
        """(B, T, 3, H, W) uint8 and (B, T, S) float32 to (B, T, h, w) scores."""
        if self.log_mel is None:
            return self.model.localize(frames, waveform.mT[:, None])
        columns = torch.arange(frames.shape[1] * self.columns_per_segment, device=waveform.device)
        hop = self.samples / self.columns_per_segment
        centres = ((columns + 0.5).double() * hop + 0.5).floor().long()  # as `column_centres`, for every T
        return self.model.localize(frames, self.log_mel.at(waveform.flatten(1), centres))


def example_inputs(spec: ClipSpec, batch: int = 2, segments: int = 3) -> tuple[Tensor, Tensor]:
    """Random frames and samples in the shapes of the table above, for tracing."""
    generator = torch.Generator().manual_seed(0)
    size = (batch, segments, 3, spec.image_size, spec.image_size)
    frames = torch.randint(0, 256, size, dtype=torch.uint8, generator=generator)
    return frames, 0.1 * torch.randn(batch, segments, spec.samples // spec.segments, generator=generator)


def metadata(localizer: Localizer) -> dict[str, Any]:
    """What a program needs beside the file: names, threshold, normalisation, sizes and rates, as plain values."""
    spec, visual = localizer.spec, getattr(localizer.model, "visual", None)
    mean, std = (getattr(visual, name, None) for name in ("mean", "std"))
    return {
        "tavlo_version": __version__,
        "inputs": list(INPUTS),
        "outputs": [OUTPUT],
        "threshold": localizer.threshold,
        "frames": "RGB, uint8, 0 to 255; the model normalises them",
        "mean": [round(value, 6) for value in mean.flatten().tolist()] if isinstance(mean, Tensor) else None,
        "std": [round(value, 6) for value in std.flatten().tolist()] if isinstance(std, Tensor) else None,
        "image_size": spec.image_size,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "samples_per_segment": spec.samples // spec.segments,
        "segment_s": spec.duration_s / spec.segments,
        "segments": spec.segments,
    }
