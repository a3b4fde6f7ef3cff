"""The time-aligned audio encoder of TAVLO: one feature vector for each segment of the sound.

Source: arXiv 2507.04667, section 3.2: a 2D CNN whose last kernel is as high as the spectrogram and as wide as one
segment, K_w = W/T. The paper leaves the layers before it open. Ours see one segment at a time (convolutions pad with
zeros at the segment's edge), so that feature t depends on the columns of segment t and on no other.
"""

from torch import Tensor, nn

from tavlo_pl.errors import ConfigError


class AudioEncoder(nn.Module):
    """A small CNN over the log-mel of each segment.

    Args:
        width: feature width D_f that comes out.
        channels: of the convolutions, each of which halves both axes.
        grid: cells (frequency, time) of a segment that the last kernel spans; the maps are averaged to this grid
            first, so that one encoder serves every number of bands and columns.
    """

    def __init__(self, width: int, channels: tuple[int, ...] = (32, 64, 128), grid: tuple[int, int] = (4, 4)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for after in channels:
            layers += [
                nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(inplace=True),
            ]
            before = after
        self.front = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(grid))
        self.segment = nn.Conv2d(before, width, grid)

    def forward(self, spectrogram: Tensor, segments: int) -> Tensor:
        """Encodes the sound.

        Args:
            spectrogram: (B, 1, F, W) log-mel; W a whole multiple of ``segments``.
            segments: T.

        Returns:
            (B, T, D_f), feature t from the columns of segment t alone.

        Raises:
            ConfigError: W is no multiple of T.
        """
        batch, _, bands, columns = spectrogram.shape
        if columns % segments:
            raise ConfigError(f"a spectrogram of {columns} columns cannot be cut into {segments} equal segments")
        pieces = spectrogram.view(batch, bands, segments, columns // segments).transpose(1, 2)  # (B, T, F, W/T)
        pieces = pieces.reshape(batch * segments, 1, bands, columns // segments)
        feature: Tensor = self.segment(self.front(pieces))  # (BT, D, 1, 1)
        return feature.view(batch, segments, -1)
