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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from tavlo_pl.errors import AnnotationError, ConfigError, PredictionError
from tavlo_pl.io.arrays import BROKEN, ArrayFile, Schema
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.masks import unpack_mask
from tavlo_pl.io.parsing import LARGEST_IMAGE_PIXELS, is_image_size, read_json

RESULTS = "results.json"
PER_SAMPLE = "per_sample.csv"
MAPS = "maps.npz"

MOST_BYTES = 2**32
"""Maximum size of the arrays of ``maps.npz``, when unpacked; those of AVATAR have 60 MB, of 256 x 256 cells 4 GB."""

SEGMENTS = ("segment", "next_segment")
TEXTS = ("sample_id", "clip", "path")
ARRAYS = {
    **dict.fromkeys(TEXTS, Schema("U", (1,))),
    **dict.fromkeys(("showing", *SEGMENTS), Schema("iu", (1,), 0)),
    "blend": Schema("f", (1,), 0, 1),
    "time_s": Schema("f", (1,)),
    "mask": Schema("u", (1,), 0, 255),
    "mask_length": Schema("iu", (1,), 0, 2**40),
    "size": Schema("iu", (1,), 1, LARGEST_IMAGE_PIXELS),
    "frame_time_s": Schema("f", (2,)),
    "heatmap": Schema("f", (4,), -1e300, 1e300),
}
"""The arrays of ``maps.npz``, see `SampleMaps`; ``mask`` holds the packed masks of ``mask_length`` bytes in a row."""


def refuse_to_replace(path: Path, options: Mapping[str, Any], *, overwrite: bool, flag: str = "--overwrite") -> None:
    """Makes sure that an evaluation does not replace the results of another one in its folder.

    The same evaluation may be repeated, and an interrupted one that left no results.

    Args:
        path: the file with the figures, ``results.json``.
        options: what determines the results, plain values; stored there as ``options``.
        overwrite: replace whatever is there.
        flag: option of the command that replaces, for the message.

    Raises:
        ConfigError: the folder holds the results of another evaluation.
    """
    if overwrite:
        return
    for other in sorted(path.parent.glob("*.json")):
        stored = read_results(other)
        if stored is None:
            continue
        known = stored.get("options")
        known = known if isinstance(known, dict) else {}
        differing = sorted(name for name in options if name not in known or known[name] != options[name])
        if other.name != path.name or differing:
            reason = f"with other options ({', '.join(differing)})" if known and differing else "of another evaluation"
            raise ConfigError(
                f"{other} holds results {reason}, which would be replaced; choose another folder with --out, or "
                f"replace them with {flag}"
            )


def describe_test_data(config: Mapping[str, Any]) -> str:
    """The configuration of the test clips on one line.

    Args:
        config: the resolved configuration as plain values.
    """
    return str(yaml.safe_dump(config["data"]["test"], default_flow_style=True, width=10_000)).strip()


def read_results(path: Path) -> dict[str, Any] | None:
    """The content of a file with the figures of an evaluation; None for any other file."""
    try:
        content = read_json(path)
    except AnnotationError:
        return None
    return content if isinstance(content, dict) and {"metrics", "version"} <= content.keys() else None


class SampleMaps(NamedTuple):
    """N annotated samples in M showings of clips; a clip with two annotated frames in one segment is shown twice.

    The map of a sample lies between two maps of its showing, see `map_of`.

    Attributes:
        sample_id: (N,) names, as in ``per_sample.csv``.
        showing: (N,) int64, the showing that a sample belongs to, 0..M-1.
        segment: (N,) int64, the segment of the map before the annotated frame, or of the frame itself.
        next_segment: (N,) int64, the segment of the map after it; equal to `segment` where only one map is used.
        blend: (N,) float32, weight of the latter map.
        time_s: (N,) float64, presentation times of the annotated frames, on the video's clock; NaN where not known.
        mask: (N,) bytes, ground truth, see ``io/masks.py``.
        size: (2,) int64, height and width of the masks.
        clip: (M,) names.
        path: (M,) absolute paths of the videos; empty where there is none.
        frame_time_s: (M, T) float64, presentation times of the frames that were shown, on the video's clock; NaN where
            they are not known.
        heatmap: (M, T, h, w) float16 or float32, the raw scores for the clip's own sound.
    """

    sample_id: np.ndarray
    showing: np.ndarray
    segment: np.ndarray
    next_segment: np.ndarray
    blend: np.ndarray
    time_s: np.ndarray
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
            bits = np.packbits(self.truth(row)).tobytes()
            digest.update(f"{self.sample_id[row]}\0{self.size.tolist()}\0".encode() + bits)
        return {"samples": len(self.sample_id), "sha256": digest.hexdigest()}

    def truth(self, row: int) -> np.ndarray:
        """(H, W) bool ground truth of a sample.

        Raises:
            PredictionError: its mask is damaged.
        """
        height, width = self.size.tolist()
        try:
            return unpack_mask(self.mask[row], height * width).reshape(height, width)
        except ValueError as error:
            raise PredictionError(f"{MAPS}: {self.sample_id[row]}: {error}; test or score again") from error

    def map_of(self, row: int) -> np.ndarray:
        """(h, w) float32 raw scores of a sample."""
        maps, weight = self.heatmap[self.showing[row]], self.blend[row]
        first, second = (maps[at[row]].astype(np.float32) for at in (self.segment, self.next_segment))
        blended: np.ndarray = (1 - weight) * first + weight * second
        return blended

    def write(self, path: Path) -> None:
        """Writes the file. 25,000 samples in 6,500 showings of ten 14x14 maps: some 30 MB."""
        lengths = np.array([len(packed) for packed in self.mask], np.int64)
        joined = np.frombuffer(b"".join(self.mask), np.uint8)
        with atomic_path(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **(self._asdict() | {"mask": joined, "mask_length": lengths}))

    @classmethod
    def read(cls, path: Path) -> "SampleMaps":
        """What `write` wrote.

        Raises:
            PredictionError: the file cannot be read, or is something else.
        """
        try:
            check_regular(path, None, PredictionError)
            arrays = ArrayFile(path, MOST_BYTES).read(ARRAYS)
            _check_sizes(arrays)
            joined, ends = arrays["mask"].tobytes(), np.cumsum(arrays.pop("mask_length")).tolist()
            masks = np.empty(len(ends), object)
            masks[:] = [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        except BROKEN as error:
            raise PredictionError(f"{path}: no maps of a test ({error}); test or score again") from error
        return cls(**(arrays | {"mask": masks}))


def _check_sizes(arrays: Mapping[str, np.ndarray]) -> None:
    """Checks that the arrays of a file belong to the same samples and showings.

    Raises:
        ValueError: they do not.
    """
    samples, shown, moments = len(arrays["sample_id"]), len(arrays["clip"]), arrays["heatmap"].shape[1]
    sizes = {"path": (shown,), "frame_time_s": (shown, moments), "heatmap": (shown, *arrays["heatmap"].shape[1:])}
    sizes |= dict.fromkeys(("showing", *SEGMENTS, "blend", "time_s", "mask_length"), (samples,)) | {"size": (2,)}
    if wrong := next((name for name, size in sizes.items() if arrays[name].shape != size), None):
        raise ValueError(f"{wrong} has shape {list(arrays[wrong].shape)} instead of {list(sizes[wrong])}")
    numbers = {"showing": shown} | dict.fromkeys(SEGMENTS, moments)
    if wrong := next((name for name, count in numbers.items() if arrays[name].max() >= count), None):
        raise ValueError(f"{wrong} holds {arrays[wrong].max()}, and there are {numbers[wrong]}")
    height, width = arrays["size"].tolist()
    if not is_image_size(height, width):
        raise ValueError(f"masks of {height} x {width} pixels")
    if arrays["mask_length"].sum() != len(arrays["mask"]):
        raise ValueError("the masks are incomplete")
    if any(np.isinf(arrays[name]).any() for name in ("time_s", "frame_time_s")):
        raise ValueError("a time is infinite")
    for name in TEXTS:
        "".join(arrays[name].tolist()).encode()


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row; columns in the order in which rows name them first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
