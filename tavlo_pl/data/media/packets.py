"""Headers of the packets of a stream, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Packets:
    """Headers of the N packets of one stream, in decoding order.

    Attributes:
        order: (N,) int64, position among the packets of the file.
        pts: (N,) int64, presentation timestamps in units of the stream.
        pts_s: (N,) float64, presentation times in seconds on the file's clock.
        dts_s: (N,) float64, decoding times; NaN where unknown.
        duration_s: (N,) float64, in seconds; 0 where unknown.
        key: (N,) bool, whether decoding can begin with the packet.
        discard: (N,) bool, whether the packet is decoded and not shown.
        corrupt: (N,) bool, whether FFmpeg noticed that a piece of the packet is missing.
    """

    order: NDArray[np.int64]
    pts: NDArray[np.int64]
    pts_s: NDArray[np.float64]
    dts_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    key: NDArray[np.bool_]
    discard: NDArray[np.bool_]
    corrupt: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.order)
