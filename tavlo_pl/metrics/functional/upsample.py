"""From cells to pixels. The interpolation is part of a metric: it moves whole tables by points."""

from collections.abc import Iterator
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from tavlo_pl.errors import ConfigError

Interpolation = Literal["bilinear", "bilinear_corners", "bicubic"]

INTERPOLATIONS: tuple[str, ...] = get_args(Interpolation)
CHUNK_PIXELS = 2**20


def upsample(maps: Tensor, size: int, interpolation: Interpolation = "bilinear") -> Tensor:
    """Score maps at the evaluation size.

    A map comes out the same, bit for bit, whatever other maps are in the batch.

    Args:
        maps: (N, h, w) scores of any floating type.
        size: pixels a side, S.
        interpolation: ``bilinear`` and ``bicubic`` sample between cell centres (align_corners=False);
            ``bilinear_corners`` puts the outer cells on the picture's corners (align_corners=True, the choice
            of EZ-VSL and FNAC).

    Returns:
        (N, S, S) float32; bicubic values may leave the range of the map by a little.

    Raises:
        ConfigError: the interpolation is unknown.
    """
    if interpolation not in INTERPOLATIONS:
        raise ConfigError(f"Unknown interpolation {interpolation!r}: use one of {', '.join(INTERPOLATIONS)}.")
    mode, _, corners = interpolation.partition("_")
    cells = maps.float().contiguous()[:, None]
    return F.interpolate(cells, (size, size), mode=mode, align_corners=bool(corners))[:, 0]


def upsampled_chunks(
    maps: Tensor, size: int, interpolation: Interpolation = "bilinear"
) -> Iterator[tuple[slice, Tensor]]:
    """`upsample` a few maps at a time, because a test set of them would not fit into memory.

    Args:
        maps: (N, h, w) scores.
        size: pixels a side, S.
        interpolation: see `upsample`.

    Yields:
        which of the N maps, and their (n, S·S) float32 pixels.
    """
    step = max(1, CHUNK_PIXELS // size**2)
    for start in range(0, len(maps), step):
        chunk = slice(start, start + step)
        yield chunk, upsample(maps[chunk], size, interpolation).flatten(1)
