"""The index of a data set: one Parquet table of its clips, made by ``tavlo data index`` and read by `Index`.

A row is a video, good or bad: ``reason`` states why it is left out and is empty for selected clips.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, overload

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from typing_extensions import override

from tavlo_pl.data.clip import Clip, ClipSource, LazyClips
from tavlo_pl.data.clip_ids import clip_key, is_listed, read_ids
from tavlo_pl.data.index.probe import File, Probed
from tavlo_pl.errors import ConfigError, DatasetNotFoundError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.parquet import read_columns
from tavlo_pl.io.remote import ADDRESS, VideoPath, as_file, connect, explained, is_below, plain, shown

SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("path", pa.string()),
        ("member", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("reason", pa.string()),
        ("video_bytes", pa.int64()),
        ("video_s", pa.float64()),
        ("audio_s", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frame_rate", pa.float64()),
        ("frame_count", pa.int64()),
        ("fault", pa.string()),
        ("file_bytes", pa.int64()),
        ("mtime_ns", pa.int64()),
    ]
)
"""The columns of the table, described in `Row` and `tavlo_pl.data.index.probe`."""

_ALWAYS = {"sample_id", "path", "reason", "file_bytes", "mtime_ns"}
_CLIP = ["sample_id", "path", "member", "label"]  # the columns of a clip
_PROBED = ["video_bytes", "video_s", "audio_s", "width", "height", "frame_rate", "frame_count", "fault"]


@dataclass(frozen=True, slots=True)
class Row:
    """A video and its selection.

    Attributes:
        sample_id: name of the clip, ``<id>_<start>``: the file name without suffix.
        probed: properties of the video.
        label: category by the table of labels.
        split: train or test, by the table of labels.
        reason: why it is left out, ``kind: sentence``; empty if it is not.
    """

    sample_id: str
    probed: Probed
    label: str | None = None
    split: str | None = None
    reason: str = ""


def write_index(path: Path, rows: Iterable[Row], note: Mapping[str, str]) -> None:
    """Writes the table.

    Args:
        path: of the Parquet file.
        rows: in any order; the table is sorted by name and path.
        note: settings, stored in the metadata of the table.
    """
    ordered = sorted(rows, key=lambda row: (row.sample_id, row.probed.file.path, row.probed.member or ""))
    columns: dict[str, list[Any]] = {
        "sample_id": [_text(row.sample_id) for row in ordered],
        "path": [_text(row.probed.file.path) for row in ordered],
        "member": [_text(row.probed.member) for row in ordered],
        "label": [row.label for row in ordered],
        "split": [row.split for row in ordered],
        "reason": [_text(row.reason) for row in ordered],
        **{name: [getattr(row.probed, name) for row in ordered] for name in _PROBED},
        "file_bytes": [row.probed.file.file_bytes for row in ordered],
        "mtime_ns": [row.probed.file.mtime_ns for row in ordered],
    }
    with atomic_path(path) as part:
        pq.write_table(pa.table(columns, SCHEMA.with_metadata(dict(note))), part)


def read_probed(path: Path) -> list[Probed]:
    """The probed videos of an index, so that unchanged ones are not opened again.

    Raises:
        AnnotationError: the file is not an index.
    """
    return [
        Probed(File(row.pop("path"), row.pop("file_bytes"), row.pop("mtime_ns")), **row)
        for row in _read(path, ["path", "member", "file_bytes", "mtime_ns", *_PROBED]).to_pylist()
    ]


class Index(ClipSource):
    """Selected clips of an index written by ``tavlo data index``.

    Args:
        path: the index, a Parquet file, or its address.
        split: which split to take, or None for all clips.
        ids: text file of the clips to take (``<id>_<start>`` or the id alone, one per line), within the split.
        root: address of the folder that an index of remote videos was made of, or several; no other address in the
            index is opened.

    Raises:
        DatasetNotFoundError: index or list is missing, or no clip is selected.
        AnnotationError: the file is not an index.
        ConfigError: clips are in compressed archives, which have no random access, or at an address that is not below
            `root`.
    """

    def __init__(
        self,
        path: str,
        split: Literal["train", "test"] | None = "train",
        ids: str | None = None,
        root: str | list[str] | None = None,
    ) -> None:
        self.path = as_file(plain(path))
        self.roots = [root] if isinstance(root, str) else root or []
        self.split = split
        self.ids = Path(ids) if ids is not None else None

    def clips(self) -> "ClipTable":
        """The selected clips, sorted by name; each is created on access."""
        clips = self.selected()
        self._check_addresses(clips.table["path"])
        return clips

    def selected(self) -> "ClipTable":
        """The clips that `clips` returns, for a caller that opens none at an address."""
        table = _read(self.path, [*_CLIP, "split", "reason"])
        wanted = pc.equal(table["reason"], "")
        if self.split is not None:
            wanted = pc.and_kleene(wanted, pc.equal(table["split"], self.split))
        chosen = table.filter(wanted).select(_CLIP)
        if self.ids is not None:
            ids = read_ids(self.ids)
            chosen = chosen.filter(pa.array([is_listed(clip_key(n), ids) for n in chosen["sample_id"].to_pylist()]))
        if not len(chosen):
            raise DatasetNotFoundError(
                f"{self.path}: none of its {len(table)} videos is a clip of split {self.split or 'any'}"
                f"{f' and in {self.ids}' if self.ids is not None else ''}; its column reason says why (splits come "
                "from tavlo data index --csv; split: null takes all)."
            )
        return ClipTable(chosen)

    def _check_addresses(self, paths: pa.ChunkedArray) -> None:
        """Rejects addresses that the user did not name: an index may come from someone else."""
        for address in paths.filter(pc.match_substring_regex(paths, f"^{ADDRESS.pattern}")).to_pylist():
            if not any(is_below(address, root) for root in self.roots):
                raise ConfigError(
                    f"{self.path}: its videos are at addresses ({shown(address)}); to read them, give the address of "
                    "their folder as the option root of the index (--source.root)."
                )

    def sample_ids(self) -> list[str]:
        """Names of the clips."""
        return self.selected().sample_ids()

    @override
    def check_spec(self, parts: int, duration_s: float) -> None:
        """Rejects clips in compressed archives, which have no random access.

        Raises:
            ConfigError: there are such clips.
        """
        table = self.clips().table
        packed = pc.unique(table.filter(pc.is_valid(table["member"]))["path"]).to_pylist()
        compressed = [path for path in packed if not path.endswith(".tar")]
        if compressed:
            raise ConfigError(
                f"{self.path}: its clips are in compressed archives ({compressed[0]}), which cannot be read in any "
                "order; write shards of them or unpack them and index again."
            )


class ClipTable(LazyClips):
    """Clips of an Arrow table; in memory only by name until they are accessed.

    Args:
        table: with the columns of a clip.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self._columns = [column.chunk(0) if column.num_chunks else pa.array([]) for column in self.table.columns]

    def __len__(self) -> int:
        return len(self.table)

    @overload
    def __getitem__(self, position: int) -> Clip: ...
    @overload
    def __getitem__(self, position: slice) -> "ClipTable": ...
    def __getitem__(self, position: int | slice) -> "Clip | ClipTable":
        """One clip, or the clips of a slice."""
        if isinstance(position, slice):
            return ClipTable(self.table.take(pa.array(range(len(self))[position], pa.int64())))
        at = range(len(self))[position]
        return _clip(*(column[at].as_py() for column in self._columns))

    def __iter__(self) -> Iterator[Clip]:
        for some in self.table.to_batches(max_chunksize=1024):
            yield from map(_clip, *(column.to_pylist() for column in some.columns))

    def sample_ids(self) -> list[str]:
        """Names of the clips."""
        names: list[str] = self.table["sample_id"].to_pylist()
        return names


def _clip(sample_id: str, path: str, member: str | None, label: str | None) -> Clip:
    return Clip(sample_id, as_file(path), category=label, member=member)


def _read(path: VideoPath, columns: list[str]) -> pa.Table:
    fields = [SCHEMA.field(name).with_nullable(name not in _ALWAYS) for name in columns]
    source: Path | BytesIO
    if isinstance(path, Path):
        if not path.is_file():
            raise DatasetNotFoundError(f"{path}: no such index; make it with tavlo data index --out {path}.")
        source = path
    else:
        with explained(path.address):
            files, name = connect(path.address)
            source = BytesIO(files.cat_file(name))
    return read_columns(source, fields, f"{path}: no index of tavlo data index", "make it again.")


def _text(name: str | None) -> str | None:
    """A name as valid UTF-8; files whose name is not valid have been rejected."""
    return None if name is None else name.encode("utf-8", "backslashreplace").decode()
