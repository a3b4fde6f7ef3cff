"""The loudness of short pieces of the audio, beside the features of an encoder with a long window.

A window of a second, as pretrained audio encoders have it, does not tell at which frame a sound begins.
"""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from tavlo_pl.errors import ConfigError
from tavlo_pl.nn.waveform import from_columns

FLOOR = 1e-4
"""Amplitude that is added to that of a piece: -80 dB, the loudness of silence."""

MEAN_DB, SPREAD_DB = -43.0, 6.0
"""Loudness in decibels of full scale is shifted and divided by these: silence has -6.2, full scale 7.2."""


def check_pieces(pieces: int) -> int:
    """Returns its argument.

    Raises:
        ConfigError: it is negative.
    """
    if pieces < 0:
        raise ConfigError(f"loudness of the audio encoder is {pieces}; give a number of pieces, or 0 for none")
    return pieces


def with_loudness(features: Tensor, columns: Tensor, pieces: int) -> Tensor:
    """Appends the loudness of the pieces of each segment, the root mean square amplitude of each, in the order of time.

    Args:
        features: (B, T, D) of an encoder.
        columns: (B, 1, L / T, T) waveform that it got.
        pieces: equal parts k of a segment; 0 leaves the features as they are.

    Returns:
        (B, T, D + k). The added numbers of segment t see no sample outside of it.
    """
    if not pieces:
        return features
    samples = from_columns(columns, features.shape[1]).unflatten(1, (features.shape[1], -1))
    amplitude = adaptive_avg_pool1d(samples.float().square(), pieces).sqrt()
    level = (20 * (amplitude + FLOOR).log10() - MEAN_DB) / SPREAD_DB
    return torch.cat([features, level.to(features)], dim=-1)
