"""Training clips from shards: random access, one ranged read a clip, from disk or from object storage.

Clips are read in the order that the data module requests, so that order, resuming and distribution over processes equal
those of video files. A segment has F stored frames: a random time uses the nearest one, the centre the one stored for
it.
"""

import json
import math
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray
from typing_extensions import override

from tavlo_pl.data.clip import Clip, ClipSource, LazyClips
from tavlo_pl.data.clip_ids import clip_key, is_listed, read_ids
from tavlo_pl.data.media import SAMPLE_RATE_HZ, DecodedClip
from tavlo_pl.data.shards.format import ENTRY, INDEX, LARGEST_RECORD_BYTES, NOTE, ShardSpec, from_record, shard_name
from tavlo_pl.errors import AnnotationError, ConfigError, CorruptMediaError, DatasetNotFoundError, MediaError
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.parquet import read_columns
from tavlo_pl.io.remote import connect

LARGEST_NOTE_BYTES = 2**20

REMEDY = "write the shards again with tavlo data shard."


@dataclass(frozen=True, slots=True)
class Place:
    """Location of the record batch of a clip.

    Attributes:
        shard: number of the file.
        offset: of the first byte.
        bytes: number of bytes.
        crc32: checksum of the bytes.
    """

    shard: int
    offset: int
    bytes: int
    crc32: int


@dataclass(frozen=True)
class Store:
    """The folder of shards, on disk or on a file system that fsspec supports.

    Args:
        root: folder or URL.
    """

    root: str

    def path(self, *names: str) -> str:
        """Path or URL of a file in the folder."""
        return posixpath.join(self.root, *names)

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """Reads bytes of a file.

        Raises:
            OSError: the bytes cannot be read.
            MediaError: a file on disk is a pipe, a device or the like.
        """
        files, root = connect(self.root)
        path = posixpath.join(root, name)
        if isinstance(files, LocalFileSystem) and os.path.exists(path):
            check_regular(path, None, MediaError)
        data: bytes = files.cat_file(path, start, end)
        return data

    @cached_property
    def spec(self) -> ShardSpec:
        """Parameters of the stored clips.

        Raises:
            DatasetNotFoundError: there are no shards.
        """
        try:
            note = json.loads(self.read(NOTE, 0, LARGEST_NOTE_BYTES))
            return ShardSpec(**note["spec"])
        except (OSError, ImportError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DatasetNotFoundError(
                f"{self.path(NOTE)}: no training shards there ({error}); make them with tavlo data shard --out DIR."
            ) from error


@dataclass(frozen=True)
class StoredClip(Clip):
    """A clip in a shard.

    Args:
        store: the folder of shards.
        place: location in the folder.
        offset_s: seconds between the start of the stored span and that of the clip, which is later in a part of it.
    """

    store: Store = Store("")
    place: Place = Place(0, 0, 0, 0)
    offset_s: float = 0.0

    @override
    def read(self, times_s: Sequence[float], size: tuple[int, int] | None, duration_s: float) -> DecodedClip:
        """The stored frames nearest to some times, and the audio; see `Clip.read`."""
        offsets_s = np.asarray(times_s, np.float64) - self.start_s + self.offset_s
        clip = self._load(self.store.spec.nearest(offsets_s).tolist(), size)
        return replace(clip, waveform=self._span(clip.waveform, duration_s))

    @override
    def read_waveform(self, duration_s: float) -> NDArray[np.float32]:
        """The audio of the span; see `Clip.read_waveform`."""
        return self._span(self._load((), None).waveform, duration_s)

    @override
    def part(self, offset_s: float) -> "StoredClip":
        """The clip from a later moment on; see `Clip.part`."""
        return replace(self, start_s=self.start_s + offset_s, offset_s=self.offset_s + offset_s)

    def _span(self, waveform: NDArray[np.float32], duration_s: float) -> NDArray[np.float32]:
        first = round(self.offset_s * SAMPLE_RATE_HZ)
        return waveform[first : first + round(duration_s * SAMPLE_RATE_HZ)]

    def check_video_length(self, shown_s: NDArray[np.float64], parts: int, duration_s: float) -> None:
        """Does nothing: the length was checked when the shard was written."""

    def _load(self, chosen: Sequence[int], size: tuple[int, int] | None) -> DecodedClip:
        place, where = self.place, f"{self.path}: clip {self.sample_id}"
        try:
            data = self.store.read(shard_name(place.shard), place.offset, place.offset + place.bytes)
        except OSError as error:
            raise MediaError(f"{where}: cannot be read ({error}); is the whole folder of shards there?") from error
        clip = from_record(data, place.crc32, chosen, size, where)
        if len(clip.waveform) != round(self.store.spec.duration_s * SAMPLE_RATE_HZ):
            raise CorruptMediaError(f"{where}: damaged: its audio has another length; write the shard again.")
        return clip


class StoredClips(LazyClips):
    """The clips of an index of shards.

    Args:
        store: the folder of shards.
        table: rows of ``shard_format.ENTRY``.
    """

    def __init__(self, store: Store, table: pa.Table) -> None:
        self.store = store
        self.table = table.combine_chunks()
        shards = int(pc.max(self.table["shard"]).as_py()) + 1
        self.paths = [Path(store.path(shard_name(number))) for number in range(shards)]
        self._words = [self.table[name].chunk(0) for name in ("sample_id", "category")]
        numbers = ("start_s", "shard", "offset", "bytes", "crc32")
        self._numbers = [self.table[name].chunk(0).to_numpy() for name in numbers]  # faster than Arrow scalars

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, position: int) -> Clip: ...
    @overload
    def __getitem__(self, position: slice) -> "StoredClips": ...
    def __getitem__(self, position: int | slice) -> "Clip | StoredClips":
        """One clip, or the clips of a slice."""
        if isinstance(position, slice):
            return StoredClips(self.store, self.table.take(pa.array(range(len(self))[position], pa.int64())))
        at = range(len(self))[position]
        sample_id, category = (column[at].as_py() for column in self._words)
        start_s, *place = (column[at].item() for column in self._numbers)
        return StoredClip(
            sample_id, self.paths[place[0]], start_s, category=category, store=self.store, place=Place(*place)
        )

    def sample_ids(self) -> list[str]:
        """Names of the clips."""
        names: list[str] = self.table["sample_id"].to_pylist()
        return names


def _good_rows(table: pa.Table, path: str) -> pa.Table:
    """The rows of readable clips, with checked locations.

    Raises:
        AnnotationError: a location is invalid.
    """
    good = table.filter(pc.is_null(table["reason"]))
    if not len(good):
        return good
    ends = {"shard": len(table), "offset": 2**63, "bytes": LARGEST_RECORD_BYTES, "crc32": 2**32, "start_s": math.inf}
    for name, end in ends.items():
        low, high = pc.min_max(good[name]).as_py().values()
        finite = name != "start_s" or pc.all(pc.is_finite(good[name])).as_py()  # min_max ignores NaN
        if good[name].null_count or not finite or not 0 <= low <= high < end:
            raise AnnotationError(f"{path}: the column {name} has invalid values; {REMEDY}")
    if good["sample_id"].null_count:
        raise AnnotationError(f"{path}: a clip has no name; {REMEDY}")
    return good


class Shards(ClipSource):
    """Reads shards written by ``tavlo data shard``.

    Args:
        root: folder, or URL that fsspec supports (``s3://bucket/shards``; ``filecache::s3://…`` caches files).
        ids: text file of the clips to take (``<id>_<start>`` or the id alone, one per line).

    Raises:
        DatasetNotFoundError: there are no shards, some are missing, or none of the clips of the list is in them.
        AnnotationError: their index is damaged.
    """

    def __init__(self, root: str, ids: str | None = None) -> None:
        self.store = Store(root)
        self.ids = Path(ids) if ids is not None else None

    def clips(self) -> "StoredClips":
        """The readable clips, sorted by name."""
        path = self.store.path(INDEX)
        if os.path.exists(path):
            check_regular(path, None, AnnotationError)
        try:
            files, name = connect(path)
            with files.open(name, "rb") as file:
                table = read_columns(file, list(ENTRY), f"{path}: no index of training shards", REMEDY)
        except FileNotFoundError as error:
            raise DatasetNotFoundError(
                f"{path}: no complete set of training shards there; run tavlo data shard to its end."
            ) from error
        chosen = _good_rows(table, path)
        if self.ids is not None:
            ids = read_ids(self.ids)
            listed = [is_listed(clip_key(name), ids) for name in chosen["sample_id"].to_pylist()]
            chosen = chosen.filter(pa.array(listed, pa.bool_()))
        if not len(chosen):
            raise DatasetNotFoundError(f"{path}: none of its {len(table)} clips is wanted and readable.")
        return StoredClips(self.store, chosen)

    def sample_ids(self) -> list[str]:
        """Names of the clips."""
        return self.clips().sample_ids()

    def check_spec(self, parts: int, duration_s: float) -> None:
        """Rejects segments without their own stored frames; see `ClipSource.check_spec`."""
        spec = self.store.spec
        if not spec.holds(parts, duration_s):
            raise ConfigError(
                f"{self.store.root}: shards of {spec.segments} segments of {spec.duration_s:g} s with "
                f"{spec.frames_per_segment} frames each do not fit data.clip.segments {parts} of data.clip.duration_s "
                f"{duration_s:g}; change these, or write shards for them."
            )
