"""What a test leaves in its folder, written and read in one place.

::

    RUN/results.json    the figures, and with which weights, data, seed and command they were taken
    RUN/per_sample.csv  one line an annotated sample
    RUN/maps.npz        the maps and the ground truth of those samples, to draw them; absent where nothing was kept

``tavlo score`` leaves them too: a showing there is one sample, with the video where it lies beside the annotations.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tavlo_pl.io.atomic import atomic_path

RESULTS = "results.json"
PER_SAMPLE = "per_sample.csv"
MAPS = "maps.npz"


class SampleMaps(NamedTuple):
    """N annotated samples in M showings of clips; a clip with two annotated frames in one segment is shown twice.

    Attributes:
        sample_id: (N,) names, as in ``per_sample.csv``.
        showing: (N,) int64, the showing that a sample belongs to, 0..M-1.
        segment: (N,) int64, its segment in the showing.
        mask: (N, ⌈S²/8⌉) uint8, ground truth of S x S pixels, packed by ``numpy.packbits``.
        size: () int64, S.
        clip: (M,) names.
        path: (M,) absolute paths of the videos; empty where there is none.
        frame_time_s: (M, T) float64, presentation times of the frames that were shown, on the video's clock; NaN where
            they are not known.
        heatmap: (M, T, h, w) float16 or float32, the raw scores for the clip's own sound.
    """

    sample_id: np.ndarray
    showing: np.ndarray
    segment: np.ndarray
    mask: np.ndarray
    size: np.ndarray
    clip: np.ndarray
    path: np.ndarray
    frame_time_s: np.ndarray
    heatmap: np.ndarray

    def fingerprint(self) -> dict[str, Any]:
        """Number and sha256 of the samples' names and masks; runs with equal values have the same ground truth."""
        digest = hashlib.sha256()
        for row in np.argsort(self.sample_id):
            digest.update(f"{self.sample_id[row]}\0{self.size}\0".encode() + self.mask[row].tobytes())
        return {"samples": len(self.sample_id), "sha256": digest.hexdigest()}

    def truth(self, row: int) -> np.ndarray:
        """(S, S) bool ground truth of a sample."""
        size = int(self.size)
        return np.unpackbits(self.mask[row], count=size**2).reshape(size, size).astype(bool)

    def write(self, path: Path) -> None:
        """Writes the file. 25,000 samples in 6,500 showings of ten 14x14 maps: some 30 MB."""
        with atomic_path(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **self._asdict())

    @classmethod
    def read(cls, path: Path) -> "SampleMaps":
        """What `write` wrote.

        Raises:
            OSError, ValueError, KeyError: the file cannot be read, or is something else.
        """
        with np.load(path) as archive:
            return cls(*(archive[name] for name in cls._fields))


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row; columns in the order in which rows name them first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
