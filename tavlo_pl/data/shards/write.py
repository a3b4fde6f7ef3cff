"""Writes training shards: an engine reads clips in order, and one process writes.

The shard of a clip depends only on the list of clips and the order of an archive, so that a resumed run, on any engine,
writes the same bytes as one uninterrupted run. A shard is written to a temporary file and renamed, and its part of the
index after it; a shard with an index is complete.
"""

import csv
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.shards.format import (
    BAD_CLIPS,
    ENTRY,
    INDEX,
    NOTE,
    RECORD,
    ShardSpec,
    shard_name,
    to_bad_record,
    to_record,
)
from tavlo_pl.data.shards.plan import ShardJob, in_order, plan
from tavlo_pl.engine.base import Engine
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError, UnreachableMediaError
from tavlo_pl.io.locking import LOCK
from tavlo_pl.io.output_folder import OutputFolder

NAMED = 3
"""Number of clips that a message names."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        shards: number of shards.
        clips: number of clips in the shards.
        bad: number of unreadable clips among them.
        bytes: size of the shards.
    """

    shards: int
    clips: int
    bad: int
    bytes: int


def write_shards(
    clips: Sequence[Clip],
    folder: str | Path,
    spec: ShardSpec,
    engine: Engine,
    clips_per_shard: int = 256,
    max_bad_share: float = 0.05,
) -> Written:
    """Writes the shards, and their index when all are complete.

    Args:
        clips: the whole list.
        folder: output folder, or its URL; an interrupted run with the same list and parameters resumes.
        spec: how clips are stored.
        engine: reads the clips.
        clips_per_shard: number of clips per file.
        max_bad_share: largest share of unreadable clips; a higher one ends the run.

    Raises:
        ConfigError: the clips are annotated, the folder has shards of another list or with other parameters, or another
            process writes it.
        RunFailedError: too many clips cannot be read, or a process died.
    """
    if any(clip.annotations for clip in clips):
        raise ConfigError("these clips are annotated, and shards store no annotations; read them from their videos.")
    target = OutputFolder(folder)
    with target.locked():
        return _write_all(clips, target, spec, engine, clips_per_shard, max_bad_share)


def _write_all(
    clips: Sequence[Clip],
    folder: OutputFolder,
    spec: ShardSpec,
    engine: Engine,
    clips_per_shard: int,
    max_bad_share: float,
) -> Written:
    _claim(folder, spec, clips, clips_per_shard)
    jobs = plan(clips, clips_per_shard)
    numbers = range(jobs[-1].shards.stop)
    done = _entries(folder, numbers)
    bad = {row["sample_id"]: row["reason"] for row in done if row["reason"]}
    limit = int(max_bad_share * len(clips))
    try:
        with tqdm(total=len(clips), initial=len(done), desc="clips", unit="clip", smoothing=0.02) as bar:
            records = engine.map(partial(read_clip, spec), _left(folder, jobs))
            records = _watched(records, bad, limit, len(clips), folder.path(BAD_CLIPS), bar)
            for number, size in (pair for job in jobs for pair in job.sizes(clips_per_shard)):
                if not folder.exists(entries_name(number)):
                    _write_shard(folder, number, islice(records, size))
    finally:
        entries = _entries(folder, numbers)
        reasons = bad | {row["sample_id"]: row["reason"] for row in entries if row["reason"]}
        with folder.new_file(BAD_CLIPS) as path, path.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([("sample_id", "reason"), *sorted(reasons.items())])
    with folder.new_file(INDEX) as path:
        pq.write_table(pa.Table.from_pylist(sorted(entries, key=_key), schema=ENTRY), path)
    return Written(
        shards=len(numbers),
        clips=len(entries),
        bad=sum(row["reason"] is not None for row in entries),
        bytes=sum(folder.size(shard_name(number)) for number in numbers),
    )


def read_clip(spec: ShardSpec, clip: Clip) -> pa.RecordBatch:
    """The record of a clip, with a reason if it cannot be read.

    Raises:
        RunFailedError: its address cannot be reached; a shard would keep the reason.
    """
    about = (clip.sample_id, clip.category, clip.start_s)
    try:
        with media.local_media(clip.path):
            size = spec.square or spec.fitted(media.probe(clip.file))
            decoded = clip.read((clip.start_s + spec.times_s()).tolist(), size, spec.duration_s)
            clip.check_video_length(decoded.frame_time_s, spec.segments, spec.duration_s)
    except UnreachableMediaError as error:
        raise RunFailedError(str(error)) from error
    except MediaError as error:
        return to_bad_record(*about, str(error))
    return to_record(*about, spec, decoded)


def _left(folder: OutputFolder, jobs: Iterable[ShardJob]) -> Iterator[Clip]:
    """The clips of unfinished shards, in the order of the shards."""
    for job in jobs:
        done = {_key(row) for row in _entries(folder, job.shards)}
        yield from in_order([clip for clip in job.clips if (clip.sample_id, clip.start_s) not in done])


def _claim(folder: OutputFolder, spec: ShardSpec, clips: Sequence[Clip], clips_per_shard: int) -> None:
    """Stores the parameters of the shards, and rejects a folder with other ones."""
    named = sha256("\n".join(f"{clip.sample_id} {clip.start_s!r}" for clip in clips).encode()).hexdigest()
    note = {"spec": asdict(spec), "clips": len(clips), "clips_per_shard": clips_per_shard, "list_sha256": named}
    if folder.exists(NOTE):
        known = json.loads(folder.read(NOTE).decode("utf-8-sig"))
        if known != note:
            other = ", ".join(sorted(key for key in note if known.get(key) != note[key]))
            raise ConfigError(
                f"{folder.root} holds shards of another kind (another {other}: {folder.path(NOTE)}); choose another "
                "--out."
            )
        return
    if any(name != "shards" and not name.startswith((NOTE, LOCK)) for name in folder.names()):
        raise ConfigError(f"{folder.root} is not empty and has no shards; choose another --out.")
    with folder.new_file(NOTE) as noted:
        noted.write_text(json.dumps(note, indent=1) + "\n")


def _watched(
    records: Iterable[pa.RecordBatch], bad: dict[str, str], limit: int, total: int, listed: str, bar: tqdm
) -> Iterator[pa.RecordBatch]:
    """Yields records, adds those of unreadable clips to ``bad``, and ends the run if these are too many."""
    for record in records:
        name, reason = record["sample_id"][0].as_py(), record["reason"][0].as_py()
        if reason is not None:
            bad[name] = reason
        if len(bad) > limit:
            named = ", ".join(sorted(bad)[:NAMED])
            raise RunFailedError(
                f"{len(bad)} of {total} clips cannot be read, more than --max_bad_share allows ({named}, ...); the "
                f"list with reasons: {listed}"
            )
        bar.update()
        yield record


def _write_shard(folder: OutputFolder, number: int, records: Iterable[pa.RecordBatch]) -> None:
    entries = []
    with (
        folder.new_file(shard_name(number)) as path,
        path.open("wb") as file,
        pa.ipc.new_file(file, RECORD) as writer,
    ):
        for record in records:
            data = record.serialize()  # the bytes that the writer appends next
            writer.write_batch(record)
            entry = {name: record[name][0].as_py() for name in ("sample_id", "category", "start_s", "reason")}
            place = {"shard": number, "offset": file.tell() - len(data), "bytes": len(data)}
            entries.append({**entry, **place, "crc32": zlib.crc32(data)})
    with folder.new_file(entries_name(number)) as path:
        pq.write_table(pa.Table.from_pylist(entries, schema=ENTRY), path)


def entries_name(number: int) -> str:
    """Name of a shard's part of the index."""
    return shard_name(number).replace(".arrow", ".parquet")


def _entries(folder: OutputFolder, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """The existing parts of the index."""
    names = [entries_name(number) for number in numbers]
    parts = [pq.read_table(pa.BufferReader(folder.read(name))) for name in names if folder.exists(name)]
    return [row for part in parts for row in part.to_pylist()]


def _key(row: dict[str, Any]) -> tuple[str, float]:
    return row["sample_id"], row["start_s"]
