"""Time arithmetic: a span of d seconds is T segments, each with one frame and its own stretch of sound.

Segment t covers [t*d/T, (t+1)*d/T) seconds from the start of the span. A training frame is shown at a random
moment inside its segment, at the same place in all segments; an evaluation frame at the segment's centre, or where an
annotated frame has its presentation time. Everything here counts seconds and samples, never frame numbers.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TIME_TOLERANCE_S = 1e-6
"""Time stamps are rounded to floating point: a frame this little before a segment's edge is on it."""

TOLERANCE_S = 0.5
"""A clip may be that much shorter or longer than it should be; clips cut at key frames differ by less."""

WINDOW_TAIL_S = 0.25
"""A rest of a video shorter than this gets no window of its own (codecs pad the sound by such rests)."""


def edges(segments: int, duration_s: float) -> NDArray[np.float64]:
    """(T + 1,) limits of the segments in seconds."""
    return np.arange(segments + 1, dtype=np.float64) * (duration_s / segments)


def centres(segments: int, duration_s: float) -> NDArray[np.float64]:
    """(T,) middle of each segment in seconds."""
    return (np.arange(segments, dtype=np.float64) + 0.5) * (duration_s / segments)


def draw(segments: int, duration_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(T,) one moment inside each segment, in seconds: drawn uniformly, at the same place in all segments.

    Equal distances between frames, as in evaluation, make the change from one to the next comparable.
    """
    limits = edges(segments, duration_s)
    moments = limits[:-1] + rng.random() * (duration_s / segments)
    return np.minimum(moments, np.nextafter(limits[1:], 0.0))  # open at its end, also after rounding


def segment_of(time_s: float, segments: int, duration_s: float) -> int | None:
    """The segment that covers ``time_s``, or None outside [0, d)."""
    position = int(np.searchsorted(edges(segments, duration_s), time_s + TIME_TOLERANCE_S, side="right")) - 1
    return position if 0 <= position < segments else None


def plan_passes(segment_of_frame: Sequence[int]) -> list[dict[int, int]]:
    """Spreads annotated frames over passes so that each pass shows at most one of them a segment.

    Args:
        segment_of_frame: the segment of each annotated frame, in presentation order.

    Returns:
        For each pass a map from segment to position in ``segment_of_frame``; the p-th frame of a segment is
        in pass p. One empty pass where there is no frame.
    """
    passes: list[dict[int, int]] = [{}]
    for position, segment in enumerate(segment_of_frame):
        free = next((chosen for chosen in passes if segment not in chosen), None)
        if free is None:
            passes.append(free := {})
        free[segment] = position
    return passes


def column_centres(columns: int, samples: int) -> NDArray[np.int64]:
    """(W,) sample at the middle of each of W spectrogram columns that share L samples evenly."""
    centres: NDArray[np.int64] = np.floor((np.arange(columns) + 0.5) * (samples / columns) + 0.5).astype(np.int64)
    return centres
