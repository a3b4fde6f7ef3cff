"""Annotated frames of a clip, and their masks at any size."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tavlo_pl.errors import AnnotationError, ConfigError
from tavlo_pl.io.files import read_bytes
from tavlo_pl.io.images import decode_image
from tavlo_pl.io.parsing import LARGEST_FRAME_BYTES
from tavlo_pl.metrics.protocols import MixedFrames, SampleUnit, Size
from tavlo_pl.types import SCENARIOS, Cue, Scenario

BLOCK = 64
"""Rows of a mask that are transposed at a time, twice as fast as all at once where the mask is large."""

SIZES_SHOWN = 3
"""Maximum number of sizes that a message names."""


@dataclass(frozen=True)
class RunLengths:
    """A COCO run-length mask: alternating runs of 0 and 1, starting with 0, in column-major order.

    Args:
        height: of the mask in pixels.
        width: of the mask in pixels.
        counts: lengths of the runs; they add up to height x width.
    """

    height: int
    width: int
    counts: tuple[int, ...]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> "RunLengths":
        """The run lengths of an (h, w) mask."""
        flat = np.concatenate([[False], mask.T.reshape(-1), [False]])
        runs = np.diff(np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]), [mask.size]]))
        counts = runs if runs[-1] else runs[:-1]
        return cls(mask.shape[0], mask.shape[1], tuple(counts.tolist()))

    @classmethod
    def of_part(cls, part: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> "RunLengths":
        """The run lengths of an (h, w) mask that is 0 outside a part, in time proportional to the part.

        Args:
            part: (h, w) pixels.
            corner: (left, top) of the part.
            size: (h, w) of the mask.
        """
        (left, top), (height, width) = corner, size
        rows, columns = part.shape
        step = rows + int(rows < height)  # a row of zeros below the part, so that no run continues in the next column
        flat = np.zeros(columns * step + 2, bool)
        inner = flat[1:-1].reshape(columns, step)
        for first in range(0, rows, BLOCK):
            inner[:, first : min(first + BLOCK, rows)] = part[first : first + BLOCK].T
        column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), step)
        places = np.concatenate([[0], (left + column) * height + top + row, [height * width]])
        counts = np.diff(places)
        return cls(height, width, tuple((counts if counts[-1] else counts[:-1]).tolist()))

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """(left, top, width, height) of the pixels; None without any."""
        ends = np.cumsum(self.counts, dtype=np.int64)[: len(self.counts) // 2 * 2].reshape(-1, 2)
        starts, lasts = (ends - (0, 1))[ends[:, 0] < ends[:, 1]].T
        if not len(starts):
            return None
        (first, top), (last, bottom) = np.divmod(starts, self.height), np.divmod(lasts, self.height)
        if (first < last).any():  # a run over the end of a column
            top, bottom = np.array([0]), np.array([self.height - 1])
        left = int(first.min())
        return left, int(top.min()), int(last.max()) - left + 1, int(bottom.max() - top.min()) + 1

    def raster(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(h, w) mask; each pixel has the value of the original pixel at its centre."""
        height, width = size
        values = np.arange(len(self.counts)) % 2 == 1
        mask = np.repeat(values, self.counts).reshape(self.width, self.height).T
        if size == (self.height, self.width):
            return np.ascontiguousarray(mask)
        rows = ((np.arange(height) + 0.5) * self.height / height).astype(int)
        columns = ((np.arange(width) + 0.5) * self.width / width).astype(int)
        resampled: NDArray[np.bool_] = mask[np.ix_(rows, columns)]
        return resampled


@dataclass(frozen=True)
class Instance:
    """One annotated sound source of a frame.

    Args:
        category: category name of the dataset.
        scenario: the scenario it belongs to.
        polygons: flat ``(x0, y0, x1, y1, ...)`` in original pixels; the mask is their union.
        bbox: (left, top, width, height) in original pixels, used if there is no mask.
        rle: a run-length mask instead of polygons.
        box: (x0, y0, x1, y1) in original pixels, rasterised as in the evaluators of still images: each edge is rounded
            down to a pixel of the mask, so that a narrow box may be empty.
        mask_file: an image whose pixels above 0 are the mask.
        cue: what identifies the source at this moment, if the data set has it.
    """

    category: str
    scenario: Scenario
    polygons: tuple[tuple[float, ...], ...] = ()
    bbox: tuple[float, float, float, float] | None = None
    rle: RunLengths | None = None
    box: tuple[float, float, float, float] | None = None
    mask_file: Path | None = None
    cue: Cue | None = None

    def raster(self, size: tuple[int, int], scale: tuple[float, float]) -> NDArray[np.bool_]:
        """(h, w) mask of the instance.

        Args:
            size: (h, w) of the mask.
            scale: mask pixels per original pixel, (x, y).
        """
        if self.rle is not None:
            return self.rle.raster(size)
        if self.mask_file is not None:
            return read_mask(self.mask_file, size)
        if self.box is not None:
            left, top, right, bottom = (max(0, int(edge * scale[n % 2])) for n, edge in enumerate(self.box))
            mask = np.zeros(size, bool)
            mask[top:bottom, left:right] = True
            return mask
        polygons = self.polygons or ((_corners(self.bbox),) if self.bbox is not None else ())
        mask = np.zeros(size, bool)
        for polygon in polygons:
            mask |= rasterise(np.reshape(polygon, (-1, 2)) * scale, size)
        return mask


@dataclass(frozen=True)
class AnnotatedFrame:
    """One annotated frame of a clip.

    Args:
        number: position of the frame in presentation order, from 0; None for the middle one.
        name: as in the file name, ``00254``.
        width: of the original image, in the unit of its geometry.
        height: of the original image, in the unit of its geometry.
        instances: the annotated sources.
        agreement: number of instances that must cover a pixel for weight 1 (boxes of several annotators).
        time_s: presentation time of the frame, if the data set has it.
    """

    number: int | None
    name: str
    width: int
    height: int
    instances: tuple[Instance, ...]
    agreement: int = 1
    time_s: float | None = None

    @property
    def scenarios(self) -> tuple[Scenario, ...]:
        """The scenarios of the frame, in the order of the enumeration."""
        present = {instance.scenario for instance in self.instances}
        return tuple(scenario for scenario in SCENARIOS if scenario in present)

    def samples(self, unit: SampleUnit, mixed_frames: MixedFrames) -> list["FrameSample"]:
        """What is scored of the frame; nothing without instances.

        Args:
            unit: see `Protocol.samples`.
            mixed_frames: see `Protocol.mixed_frames`.
        """
        present = self.scenarios
        if unit == "scenario":
            return [FrameSample(self, (scenario,), f"{self.name}/{scenario}") for scenario in present]
        if Scenario.OFF_SCREEN in present[1:] and mixed_frames != "both":
            present = present[:-1] if mixed_frames == "on_screen" else (Scenario.OFF_SCREEN,)
        return [FrameSample(self, present, self.name)] if present else []


@dataclass(frozen=True)
class FrameSample:
    """What is scored once: an annotated frame with all or some of its scenarios.

    Attributes:
        frame: the annotation.
        scenarios: which of its scenarios, in the order of the enumeration; at least one.
        name: ``<frame>``, or ``<frame>/<scenario>``.
    """

    frame: AnnotatedFrame
    scenarios: tuple[Scenario, ...]
    name: str

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The visible sources; those that are off-screen where no source is visible."""
        visible = set(self.scenarios) - {Scenario.OFF_SCREEN}
        return tuple(i for i in self.frame.instances if i.scenario in (visible or self.scenarios))

    @property
    def category(self) -> str:
        """Sorted categories of `instances`, joined by ``+``."""
        return "+".join(sorted({instance.category for instance in self.instances}))

    @property
    def cue(self) -> str:
        """Sorted cues of `instances`, joined by ``+``; empty if they have none."""
        return "+".join(sorted({instance.cue for instance in self.instances if instance.cue is not None}))

    @property
    def flags(self) -> list[bool]:
        """For each scenario of the enumeration, whether the sample belongs to it."""
        return [scenario in self.scenarios for scenario in SCENARIOS]

    def mask(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """(h, w) union of the visible sources; empty where none is visible."""
        mask = np.zeros(size, bool)
        if self.scenarios != (Scenario.OFF_SCREEN,):
            for instance in self.instances:
                mask |= instance.raster(size, self._scale(size))
        return mask

    def truth(self, size: tuple[int, int]) -> NDArray[np.bool_] | NDArray[np.float32]:
        """(h, w) ground truth: `mask`, or with ``agreement`` the number of instances divided by it, at most 1."""
        if self.frame.agreement == 1:
            return self.mask(size)
        votes = np.zeros(size, np.float32)
        for instance in self.frame.instances:
            votes += instance.raster(size, self._scale(size))
        target: NDArray[np.float32] = np.minimum(votes / np.float32(self.frame.agreement), np.float32(1))
        return target

    def _scale(self, size: tuple[int, int]) -> tuple[float, float]:
        return size[1] / self.frame.width, size[0] / self.frame.height


def box_of_mask(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the pixels of an (h, w) mask, which must not be empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def original_size(frames: Iterable[AnnotatedFrame]) -> Size:
    """(height, width) of annotated frames in pixels.

    Raises:
        ConfigError: they have several sizes, or the data set does not have the size of its frames.
    """
    sizes = {(frame.height, frame.width) for frame in frames} - {(1, 1)}
    if len(sizes) == 1:
        return sizes.pop()
    found = ", ".join(f"{height}x{width}" for height, width in sorted(sizes)[:SIZES_SHOWN])
    raise ConfigError(
        f"--size original: the annotated frames have no one size ({found or 'none stated'}); give a size."
    )


def rasterise(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre is inside a polygon (even-odd rule).

    Drawing libraries also fill the pixels that the outline touches, which enlarges small objects. If a polygon contains
    no pixel centre, the pixel at its middle is set, so that the mask of a source is never empty.

    Args:
        points: (N, 2) corners (x, y) in pixels of the mask, where pixel 0 covers [0, 1).
        size: (h, w) of the mask.
    """
    height, width = size
    x0, y0 = points.T
    x1, y1 = np.roll(points, -1, axis=0).T
    centres = np.arange(height) + 0.5
    edge, row = np.nonzero((y0[:, None] <= centres) != (y1[:, None] <= centres))
    crossing = x0[edge] + (centres[row] - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    toggles = np.zeros((height, width + 1), int)
    np.add.at(toggles, (row, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)), 1)
    mask: NDArray[np.bool_] = np.cumsum(toggles, axis=1)[:, :width] % 2 == 1
    if not mask.any():
        column, line = np.clip(points.mean(axis=0).astype(int), 0, (width - 1, height - 1))
        mask[line, column] = True
    return mask


def read_mask(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """(h, w) mask of the pixels of an image that are above 0, resized by nearest neighbour.

    Raises:
        AnnotationError: the file is not an image, or has more pixels than annotated images have.
    """
    content = read_bytes(path, LARGEST_FRAME_BYTES, AnnotationError)
    try:
        grey = decode_image(content, "L")
    except ValueError as error:
        raise AnnotationError(f"{path}: no image that holds a mask ({error}); unpack it again.") from error
    return np.asarray(grey if size is None else grey.resize(size[::-1], Image.Resampling.NEAREST)) > 0


def _corners(bbox: tuple[float, float, float, float]) -> tuple[float, ...]:
    left, top, width, height = bbox
    return (left, top, left + width, top, left + width, top + height, left, top + height)
