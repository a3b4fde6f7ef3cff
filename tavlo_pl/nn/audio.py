"""The time-aligned audio encoder of TAVLO: one feature vector per segment of the audio.

Source: arXiv 2507.04667, section 3.2: a 2D CNN whose last kernel is as high as the spectrogram and as wide as one
segment, K_w = W/T. The paper leaves the layers before it open. Ours process one segment at a time (convolutions pad
with zeros at the segment's edge), so that feature t depends on the columns of segment t only.

Two options remove the alignment, for ablations: the paper's own ablation K_w = W/(T ± n), and one feature for
the whole clip, as in image-level methods (EZ-VSL, arXiv 2203.09324).
"""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.waveform import require_spectrogram

Span = Literal["segment", "clip"]


class AudioEncoder(nn.Module, ABC):
    """Base of the time-aligned audio encoders.

    Attributes:
        takes: what a batch must hold, ``spectrogram`` or ``waveform`` (``data.clip.frequencies: none``).
        width: feature width D_a.
    """

    takes: Literal["spectrogram", "waveform"] = "spectrogram"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    @abstractmethod
    def forward(self, spectrogram: Tensor, segments: int) -> Tensor:
        """Encodes the audio of each segment.

        Args:
            spectrogram: (B, 1, F, W) log-mel, W a whole multiple of ``segments``; or (B, 1, L / T, T) waveform.
            segments: T.

        Returns:
            (B, T, D_a), feature t for segment t.

        Raises:
            ConfigError: W is not a multiple of ``segments``, or a piece would have no column.
        """

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes of `classify`; empty for an encoder that tells no classes."""
        return ()

    def classify(self, features: Tensor) -> Tensor:
        """Scores the classes of sounds in each segment.

        Args:
            features: (B, T, D_a) of `forward`.

        Returns:
            (B, T, C), each in 0..1; C is 0 for an encoder that tells no classes.
        """
        return features.new_zeros(*features.shape[:2], 0)

    def compiled_parts(self) -> list[nn.Module]:
        """The modules that ``model.compile`` compiles."""
        return []


class RandomAudio(AudioEncoder):
    """Random features that do not depend on the audio, for a baseline that learns from the frames alone.

    Args:
        width: feature width D_a.
    """

    def forward(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, T, D_a) standard normal features, different at each call; see the base class."""
        return torch.randn(len(spectrogram), segments, self.width, dtype=spectrogram.dtype, device=spectrogram.device)


class SegmentCNN(AudioEncoder):
    """A small CNN over the log-mel of each segment.

    Args:
        width: feature width D_a.
        channels: output channels of the convolutions, each of which halves both axes.
        grid: cells (frequency, time) of a segment that the last kernel spans; the maps are averaged to this grid
            first, so that one encoder accepts every number of bands and columns.
        span: ``segment`` returns one feature per segment, ``clip`` returns their mean for every segment.
        extra_pieces: divides the audio into T + ``extra_pieces`` pieces; frame t is paired with piece t, or with the
            last one if there are fewer. 0 is aligned; with any other number the misalignment grows with t.
    """

    def __init__(
        self,
        width: int = 512,
        channels: tuple[int, ...] = (32, 64, 128),
        grid: tuple[int, int] = (4, 4),
        span: Span = "segment",
        extra_pieces: int = 0,
    ) -> None:
        super().__init__(width)
        self.span: Span = span
        self.extra_pieces = extra_pieces
        layers: list[nn.Module] = []
        before = 1
        for after in channels:
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
            before = after
        self.front = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(grid)).to(memory_format=torch.channels_last)  # faster
        self.segment = nn.Conv2d(before, width, grid)

    def forward(self, spectrogram: Tensor, segments: int) -> Tensor:
        """(B, 1, F, W) log-mel to (B, T, D_a); see the base class."""
        columns, count = require_spectrogram(spectrogram).shape[-1], segments + self.extra_pieces
        if columns % segments:
            raise ConfigError(f"a spectrogram of {columns} columns cannot be divided into {segments} equal segments")
        if not 1 <= count <= columns:
            raise ConfigError(f"a spectrogram of {columns} columns cannot be divided into {count} pieces")
        pieces = spectrogram.unfold(-1, columns // count, columns // count).movedim(3, 1)  # (B, count, 1, F, W/count)
        pieces = pieces[:, torch.arange(segments).clamp(max=count - 1)]  # (B, T, 1, F, W/count)
        feature: Tensor = self.segment(self.front(pieces.flatten(0, 1)))  # (BT, D, 1, 1)
        features = feature.view(pieces.shape[0], segments, -1)
        return features if self.span == "segment" else features.mean(1, keepdim=True).expand_as(features)

    def compiled_parts(self) -> list[nn.Module]:
        """The convolutions; see the base class."""
        return [self.front]
