"""Writes training shards: several processes read clips in order, and one process writes.

The shard of a clip depends only on the list of clips and the order of an archive, so that parts on several machines, or
a resumed run, write the same bytes as one uninterrupted run. A shard is written to a temporary file and renamed, and
its part of the index after it; a shard with an index is complete.
"""

import csv
import json
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from multiprocessing import get_context
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
from tavlo_pl.errors import ConfigError, MediaError, RunFailedError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.locking import LOCK, exclusive_folder
from tavlo_pl.io.workers import exit_with_parent

AHEAD = 4
"""Number of clips that each process reads ahead; a clip has about 1 MB."""

NAMED = 3
"""Number of clips that a message names."""


@dataclass(frozen=True)
class Progress:
    """Progress over all parts.

    Attributes:
        shards: number of finished shards of all parts.
        wanted: number of shards of the whole list.
        clips: number of clips in the finished shards.
        bad: number of unreadable clips among them.
        bytes: size of the finished shards.
    """

    shards: int
    wanted: int
    clips: int
    bad: int
    bytes: int


def write_shards(
    clips: Sequence[Clip],
    folder: Path,
    spec: ShardSpec,
    clips_per_shard: int = 256,
    part: tuple[int, int] = (0, 1),
    workers: int = 2,
    max_bad_share: float = 0.05,
) -> Progress:
    """Writes one part of the shards, and the common files after the last part.

    Args:
        clips: the whole list, the same for all parts.
        folder: output folder; an interrupted run with the same list and parameters resumes.
        spec: how clips are stored.
        clips_per_shard: number of clips per file.
        part: (i, n): every n-th shard from the i-th on.
        workers: number of processes that read clips.
        max_bad_share: largest share of unreadable clips of the part; a higher one ends the run.

    Raises:
        ConfigError: the clips are annotated, the folder has shards of another list or with other parameters, or another
            process writes this part.
        RunFailedError: too many clips cannot be read, or a process died.
    """
    if any(clip.annotations for clip in clips):
        raise ConfigError("these clips are annotated, and shards store no annotations; read them from their videos.")
    with exclusive_folder(folder, f"{LOCK}-{part[0]}-of-{part[1]}"):
        return _write_part(clips, folder, spec, clips_per_shard, part, workers, max_bad_share)


def _write_part(
    clips: Sequence[Clip],
    folder: Path,
    spec: ShardSpec,
    clips_per_shard: int,
    part: tuple[int, int],
    workers: int,
    max_bad_share: float,
) -> Progress:
    _claim(folder, spec, clips, clips_per_shard, part)
    beside = _beside(part)
    jobs = plan(clips, clips_per_shard)
    mine, wanted = jobs[part[0] :: part[1]], jobs[-1].shards.stop
    done = _entries(folder, (number for job in mine for number in job.shards))
    bad = {row["sample_id"]: row["reason"] for row in done if row["reason"]}
    total = sum(len(job.clips) for job in mine)
    limit = int(max_bad_share * total)
    try:
        with tqdm(total=total, initial=len(done), desc="clips", unit="clip", smoothing=0.02) as bar:
            records = _watched(_records(_left(folder, mine), spec, workers), bad, limit, total, folder / BAD_CLIPS, bar)
            for number, size in (pair for job in mine for pair in job.sizes(clips_per_shard)):
                if not _entries_path(folder, number).exists():
                    _write_shard(folder, number, islice(records, size))
    finally:
        finished = [number for number in range(wanted) if _entries_path(folder, number).exists()]
        entries = _entries(folder, finished)
        reasons = bad | {row["sample_id"]: row["reason"] for row in entries if row["reason"]}
        with atomic_path(folder / BAD_CLIPS, beside) as path, path.open("w", newline="", encoding="utf-8") as lines:
            csv.writer(lines).writerows([("sample_id", "reason"), *sorted(reasons.items())])
    if len(finished) == wanted:
        with atomic_path(folder / INDEX, beside) as path:
            pq.write_table(pa.Table.from_pylist(sorted(entries, key=_key), schema=ENTRY), path)
    return Progress(
        shards=len(finished),
        wanted=wanted,
        clips=len(entries),
        bad=sum(row["reason"] is not None for row in entries),
        bytes=sum((folder / shard_name(number)).stat().st_size for number in finished),
    )


def read_clip(spec: ShardSpec, clip: Clip) -> pa.RecordBatch:
    """The record of a clip, with a reason if it cannot be read."""
    about = (clip.sample_id, clip.category, clip.start_s)
    try:
        size = spec.square or spec.fitted(media.probe(clip.file))
        decoded = clip.read((clip.start_s + spec.times_s()).tolist(), size, spec.duration_s)
        clip.check_video_length(decoded.frame_time_s, spec.segments, spec.duration_s)
    except MediaError as error:
        return to_bad_record(*about, str(error))
    return to_record(*about, spec, decoded)


def _left(folder: Path, jobs: Iterable[ShardJob]) -> Iterator[Clip]:
    """The clips of unfinished shards, in the order of the shards."""
    for job in jobs:
        done = {_key(row) for row in _entries(folder, job.shards)}
        yield from in_order([clip for clip in job.clips if (clip.sample_id, clip.start_s) not in done])


def _claim(folder: Path, spec: ShardSpec, clips: Sequence[Clip], clips_per_shard: int, part: tuple[int, int]) -> None:
    """Stores the parameters of the shards, and rejects a folder with other ones."""
    named = sha256("\n".join(f"{clip.sample_id} {clip.start_s!r}" for clip in clips).encode()).hexdigest()
    note = {"spec": asdict(spec), "clips": len(clips), "clips_per_shard": clips_per_shard, "list_sha256": named}
    path = folder / NOTE
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8-sig"))
        if known != note:
            other = ", ".join(sorted(key for key in note if known.get(key) != note[key]))
            raise ConfigError(f"{folder} holds shards of another kind (another {other}: {path}); choose another --out.")
        return
    there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    if any(
        name != "shards" and not name.startswith((NOTE, LOCK)) for name in there
    ):  # files of another part that has just started
        raise ConfigError(f"{folder} is not empty and has no shards; choose another --out.")
    (folder / shard_name(0)).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, _beside(part)) as noted:
        noted.write_text(json.dumps(note, indent=1) + "\n")


def _records(clips: Iterable[Clip], spec: ShardSpec, workers: int) -> Iterator[pa.RecordBatch]:
    """Yields the records of the clips in order; several processes read ahead."""
    read = partial(read_clip, spec)
    if workers == 1:
        yield from map(read, clips)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), exit_with_parent) as pool:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        try:
            for clip in clips:
                waiting.append(pool.submit(read, clip))
                if len(waiting) >= AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise RunFailedError(
                "a process that reads clips was killed (out of memory?); run the same command again to resume."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _watched(
    records: Iterable[pa.RecordBatch], bad: dict[str, str], limit: int, total: int, listed: Path, bar: tqdm
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


def _write_shard(folder: Path, number: int, records: Iterable[pa.RecordBatch]) -> None:
    entries = []
    with (
        atomic_path(folder / shard_name(number)) as path,
        path.open("wb") as file,
        pa.ipc.new_file(file, RECORD) as writer,
    ):
        for record in records:
            data = record.serialize()  # the bytes that the writer appends next
            writer.write_batch(record)
            entry = {name: record[name][0].as_py() for name in ("sample_id", "category", "start_s", "reason")}
            place = {"shard": number, "offset": file.tell() - len(data), "bytes": len(data)}
            entries.append({**entry, **place, "crc32": zlib.crc32(data)})
    with atomic_path(_entries_path(folder, number)) as path:
        pq.write_table(pa.Table.from_pylist(entries, schema=ENTRY), path)


def _beside(part: tuple[int, int]) -> str:
    """Name of a temporary file; parts may write a common file at the same time."""
    return f".{part[0]}.part"


def _entries_path(folder: Path, number: int) -> Path:
    return (folder / shard_name(number)).with_suffix(".parquet")


def _entries(folder: Path, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """The existing parts of the index."""
    paths = [_entries_path(folder, number) for number in numbers]
    return [row for path in paths if path.exists() for row in pq.read_table(path).to_pylist()]


def _key(row: dict[str, Any]) -> tuple[str, float]:
    return row["sample_id"], row["start_s"]
