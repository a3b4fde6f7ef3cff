"""Trackers that carry a mask through a video, and the default one: dense optical flow (OpenCV's DIS)."""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.errors import ConfigError

CONSISTENT_PX = 1.5
"""A pixel is consistent if the flow back from where it came from ends this close to it."""

LEAST_CONFIDENCE = 0.4
"""A mask is carried no further below this confidence."""

LARGEST_GROWTH = 1.6
"""A mask whose area changes by more than this factor in one step is lost."""

CUT_CORRELATION = 0.7
"""Two frames whose grey-level histograms correlate less are on both sides of a cut."""

BINS = 32

Mask = NDArray[np.bool_]


class Carried(NamedTuple):
    """A mask in another frame.

    Attributes:
        position: of the frame in the sequence.
        mask: (H, W).
        confidence: in [0, 1]: product of the shares of consistent pixels of all steps.
    """

    position: int
    mask: Mask
    confidence: float


class Tracker(Protocol):
    """Carries a mask through a video.

    Attributes:
        name: the proposer of the carried masks.
        steps_per_s: frames a second that it needs.
    """

    name: str
    steps_per_s: float

    def carry(self, frames: NDArray[np.uint8], mask: Mask) -> Iterator[Carried]:
        """Yields the mask of each following frame, until a cut, or until the mask is lost.

        Args:
            frames: (N, H, W, 3) RGB; the mask belongs to the first.
            mask: (H, W), not empty.
        """


class FlowTracker:
    """Dense optical flow from each frame to the next, with a check of consistency (extra ``[annotate]``).

    Raises:
        ConfigError: OpenCV is not installed.
    """

    name = "flow"
    steps_per_s = 12.5

    def __init__(self) -> None:
        self.opencv = load_opencv()

    def carry(self, frames: NDArray[np.uint8], mask: Mask) -> Iterator[Carried]:
        """See `Tracker`."""
        opencv = self.opencv
        flow = opencv.DISOpticalFlow_create(opencv.DISOPTICAL_FLOW_PRESET_MEDIUM)
        rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]].astype(np.float32)
        grey = [opencv.cvtColor(frame, opencv.COLOR_RGB2GRAY) for frame in frames]
        confidence = 1.0
        for position in range(1, len(grey)):
            before, after = grey[position - 1], grey[position]
            if is_cut(before, after):
                return
            back = flow.calc(after, before, None)  # from each pixel of the frame to where it was
            there = (columns + back[..., 0], rows + back[..., 1])
            forth = opencv.remap(flow.calc(before, after, None), *there, opencv.INTER_LINEAR)
            moved = opencv.remap(mask.astype(np.float32), *there, opencv.INTER_LINEAR) >= 0.5
            area = int(moved.sum())
            if not area or not 1 / LARGEST_GROWTH <= area / int(mask.sum()) <= LARGEST_GROWTH:
                return
            error = np.hypot(*np.moveaxis(back + forth, 2, 0))
            confidence *= float((error[moved] < CONSISTENT_PX).mean())
            if confidence < LEAST_CONFIDENCE:
                return
            mask = moved
            yield Carried(position, mask, confidence)


def is_cut(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> bool:
    """Whether two grey frames are on both sides of a cut, by their histograms."""
    one, other = (np.histogram(frame, BINS, (0, 256))[0].astype(float) for frame in (before, after))
    one, other = one - one.mean(), other - other.mean()
    norm = np.linalg.norm(one) * np.linalg.norm(other)
    return bool(norm > 0 and one @ other / norm < CUT_CORRELATION)


def load_opencv() -> ModuleType:
    """Imports OpenCV.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return import_module("cv2")
    except ImportError as error:
        raise ConfigError(
            "propagation needs OpenCV, which is not installed: pip install 'tavlo_pl[annotate]'"
        ) from error
