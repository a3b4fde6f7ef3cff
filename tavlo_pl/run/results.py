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
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.masks import unpack_mask

RESULTS = "results.json"
PER_SAMPLE = "per_sample.csv"
MAPS = "maps.npz"


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
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
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
        """(H, W) bool ground truth of a sample."""
        height, width = self.size.tolist()
        return unpack_mask(self.mask[row], height * width).reshape(height, width)

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
            OSError, ValueError, KeyError: the file cannot be read, or is something else.
        """
        with np.load(path) as archive:
            arrays = {name: archive[name] for name in cls._fields}
            joined, ends = arrays["mask"].tobytes(), np.cumsum(archive["mask_length"]).tolist()
        masks = np.empty(len(ends), object)
        masks[:] = [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return cls(**(arrays | {"mask": masks}))


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    """One line a row; columns in the order in which rows name them first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(key for row in rows for key in row), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
