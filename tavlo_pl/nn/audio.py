"""The time-aligned audio encoder of TAVLO: one feature vector for each segment of the sound.

Source: arXiv 2507.04667, section 3.2: a 2D CNN whose last kernel is as high as the spectrogram and as wide as one
segment, K_w = W/T. The paper leaves the layers before it open. Ours see one segment at a time (convolutions pad with
zeros at the segment's edge), so that feature t depends on the columns of segment t and on no other.

Two settings take the alignment away, to measure what it is worth: the paper's own ablation K_w = W/(T ± n), and one
feature for the whole clip, as image-level methods have it (EZ-VSL, arXiv 2203.09324).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError

Span = Literal["segment", "clip"]


class AudioEncoder(nn.Module):
    """A small CNN over the log-mel of each segment.

    Args:
        width: feature width D_f that comes out.
        channels: of the convolutions, each of which halves both axes.
        grid: cells (frequency, time) of a segment that the last kernel spans; the maps are averaged to this grid
            first, so that one encoder serves every number of bands and columns.
        span: ``segment`` gives each segment its own feature, ``clip`` gives all segments the mean of them.
        extra_pieces: cuts the sound into T + ``extra_pieces`` pieces; frame t goes with piece t, or with the last one
            where there are too few. 0 is aligned; with any other number the sound drifts away from the picture.
    """

    def __init__(
        self,
        width: int,
        channels: tuple[int, ...] = (32, 64, 128),
        grid: tuple[int, int] = (4, 4),
        span: Span = "segment",
        extra_pieces: int = 0,
    ) -> None:
        super().__init__()
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
        """Encodes the sound.

        Args:
            spectrogram: (B, 1, F, W) log-mel; W a whole multiple of ``segments``.
            segments: T.

        Returns:
            (B, T, D_f), feature t from the columns of segment t alone (where nothing takes the alignment away).

        Raises:
            ConfigError: W is no multiple of T, or no piece is left.
        """
        columns, count = spectrogram.shape[-1], segments + self.extra_pieces
        if columns % segments:
            raise ConfigError(f"a spectrogram of {columns} columns cannot be cut into {segments} equal segments")
        if not 1 <= count <= columns:
            raise ConfigError(f"a spectrogram of {columns} columns cannot be cut into {count} pieces")
        pieces = spectrogram.unfold(-1, columns // count, columns // count).movedim(3, 1)  # (B, count, 1, F, W/count)
        pieces = pieces[:, torch.arange(segments).clamp(max=count - 1)]  # (B, T, 1, F, W/count)
        feature: Tensor = self.segment(self.front(pieces.flatten(0, 1)))  # (BT, D, 1, 1)
        features = feature.view(len(pieces), segments, -1)
        return features if self.span == "segment" else features.mean(1, keepdim=True).expand_as(features)
