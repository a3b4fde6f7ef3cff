"""Finds whether frame 00254 of AVATAR is the decoded frame 254, 253 or 255, from the .jpg beside the annotation.

No public file states whether frames are counted from 0 or from 1. The annotated image is compared with the decoded
frames n-1, n and n+1. If it is nearest to n, counting starts at 0 (``frame_base: 0``); if nearest to n-1, at 1; n+1
means that the video lacks its first frame.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from tavlo_pl.data import media
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.files import read_bytes
from tavlo_pl.io.images import decode_image
from tavlo_pl.io.parsing import LARGEST_FRAME_BYTES

Fit = Literal["n-1", "n", "n+1", "alike", "none", "past_end", "no_video", "unreadable"]
"""Which decoded frame the image of frame n is, or why it is unknown: the frames are equal (``alike``), it is another
image (``none``), the video ends before (``past_end``), there is no .jpg (``no_video``) or it is damaged
(``unreadable``)."""

OFFSETS: dict[Fit, int] = {"n-1": -1, "n": 0, "n+1": 1}

FARTHEST = 20.0
"""Root mean square difference in grey levels (0..255) above which it is another image; that of H.264 and JPEG is 2 to
8."""

CLEARER = 1.05
"""Minimum difference in mean square between the best and the second best frame. Both have the same compression noise,
averaged over 100,000 pixels or more, so slight motion is sufficient."""

CERTAIN = 0.95
"""Minimum share of the frames with a result that agree on one base."""


def annotated_frames(metadata: Path) -> list[str]:
    """Names of the annotated frames in a clip's folder, by number."""
    return sorted((path.stem for path in metadata.glob("*.json") if path.stem.isdecimal()), key=int)


def fit_frames(video: Path, metadata: Path) -> dict[str, Fit]:
    """Which decoded frame each annotated frame is, by its name.

    Args:
        video: the clip's file.
        metadata: the clip's folder of ``<frame>.json`` and ``<frame>.jpg``.

    Raises:
        MediaError: the video cannot be read.
    """
    times_s = media.frame_times(video)
    images = {name: metadata / f"{name}.jpg" for name in annotated_frames(metadata)}
    shown = [int(name) for name, path in images.items() if path.is_file()]
    wanted = sorted({n + offset for n in shown for offset in OFFSETS.values()} & set(range(len(times_s))))
    decoded = media.read_clip(video, times_s[wanted], size=None, start_s=0.0, duration_s=0.0).frames
    frames = dict(zip(wanted, decoded, strict=True))
    return {
        name: "past_end"
        if int(name) > len(times_s)
        else _fit(path, {fit: frames[int(name) + off] for fit, off in OFFSETS.items() if int(name) + off in frames})
        for name, path in images.items()
    }


def _fit(path: Path, candidates: dict[Fit, np.ndarray]) -> Fit:
    if not path.exists():
        return "no_video"
    try:
        image = decode_image(read_bytes(path, LARGEST_FRAME_BYTES), "RGB")
    except (ConfigError, ValueError):
        return "unreadable"
    errors = {fit: _mean_square(image, frame) for fit, frame in candidates.items()}
    best, *others = sorted(errors, key=errors.__getitem__)
    if errors[best] > FARTHEST**2:
        return "none"
    if others and errors[others[0]] <= CLEARER * errors[best]:
        return "alike"
    return best


def _mean_square(image: Image.Image, frame: np.ndarray) -> float:
    height, width = frame.shape[:2]
    scaled = image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BOX)
    return float(np.mean((np.asarray(scaled, np.float32) - frame) ** 2))


def agreed_base(fits: Iterable[Fit]) -> int | None:
    """The ``frame_base`` of nearly all frames: 0 or 1; None if they disagree or no frame has a result."""
    counts = Counter(fit for fit in fits if fit in OFFSETS)
    bases: dict[Fit, int] = {"n": 0, "n-1": 1}
    for fit, base in bases.items():
        if counts[fit] and counts[fit] >= CERTAIN * counts.total():
            return base
    return None
