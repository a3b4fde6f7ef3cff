"""``tavlo data index``: one table of all clips of a data set, with the reason for each that is left out."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tavlo_pl.data.audit.files import read_listing
from tavlo_pl.data.clip_ids import ClipKey, clip_key, read_ids
from tavlo_pl.data.datasets.vggsound import read_table
from tavlo_pl.data.index.probe import Journal, find_files, probe_files
from tavlo_pl.data.index.select import Filter, make_rows
from tavlo_pl.data.index.table import Row, read_probed, write_index
from tavlo_pl.data.media import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.data.media.archive import is_archive
from tavlo_pl.data.video_files import LeftOut
from tavlo_pl.engine.base import Engine
from tavlo_pl.engine.options import DEFAULT_RAY, EngineName, RayOptions, make_engine
from tavlo_pl.errors import ConfigError, TavloError
from tavlo_pl.io.locking import exclusive_folder
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.remote import is_address, link_of, plain, staging
from tavlo_pl.viz.table import Table

UNLABELLED = "(no label)"

SAVE_S = 60.0
"""Interval at which the results of an unfinished run are copied to object storage."""


def index(
    root: str | list[str],
    out: str,
    jobs: int = 2,
    engine: EngineName = "local",
    ray: RayOptions = DEFAULT_RAY,
    **selection: Any,
) -> None:
    """Writes one table of all videos in folders and tar archives, with the reason for each that is left out.

    A killed run resumes where it stopped, and files that did not change are not opened again, whatever the other
    options. The defaults are the paper's filter; video and audio must both exist.

    Args:
        root: folder, tar archive or video; several as "[a, b]". Archives in folders are looked into, links followed.
            Also addresses of folders and videos in object storage (s3://bucket/videos, by fsspec).
        out: the table, a Parquet file; or its address.
        jobs: processes of the local engine that open files.
        engine: where files are opened: local (this machine) or ray (a Ray cluster, extra [ray]).
        ray: options of the engine ray.
        **selection: which clips; jsonargparse finds these options at the call below.

    Raises:
        ConfigError: an option that cannot be, an archive that is not to be trusted, or another process that writes
            the same table.
        DatasetNotFoundError: a folder or a list is not there, or there is no video.
        AnnotationError: a list cannot be read, or the file at out is no index.
        RunFailedError: object storage cannot be reached.
    """
    with make_engine(engine, jobs, ray) as chosen:
        write_table(chosen, root, out, **selection)


def write_table(
    engine: Engine,
    root: str | list[str],
    out: str,
    csv: str | None = None,
    min_frames: int = 200,
    max_frames: int = 300,
    duration_s: float = 10.0,
    width: int | None = 640,
    height: int | None = 360,
    held_out: str | list[str] | None = None,
    ids: str | None = None,
    draw: int | None = None,
    seed: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Writes and prints the index; see `index` for its errors.

    Args:
        engine: opens the files.
        root: folder, tar archive or video, or several.
        out: the table, a Parquet file.
        csv: vggsound.csv, for categories and splits; videos that it does not name are left out.
        min_frames: fewest frames of a clip.
        max_frames: most frames of a clip.
        duration_s: length of video and audio, to half a second.
        width: of the frames in pixels; null takes any.
        height: of the frames in pixels; null takes any.
        held_out: clips to test on: AVATAR's root, vggss.json, a list of ids, a table; several as "[a, b]". No clip of
            the same YouTube video is taken.
        ids: take only the clips of this text file, <id>_<start> or the id alone, one a line.
        draw: take so many of the training clips, drawn by the seed.
        seed: of the draw.
        limits: what media files may state of themselves.
    """
    if duration_s <= 0 or min_frames > max_frames or (draw is not None and draw < 1):
        raise ConfigError("--draw must be at least 1, --duration_s above 0, --min_frames <= --max_frames.")
    set_limits(limits)
    table = {key: (label, split) for key, label, split in read_table(Path(csv))} if csv is not None else None
    lists = {name: set(read_listing(Path(name), "test").clips) for name in _several(held_out)}
    wanted = read_ids(Path(ids)) if ids is not None else None
    left_out = LeftOut()
    files = find_files(_several(root), left_out)
    packed = any(is_archive(Path(file.path)) for file in files if not is_address(file.path))
    accept = Filter(min_frames, max_frames, duration_s, width, height)
    options = {"filter": vars(accept), "csv": csv, "held_out": held_out, "ids": ids, "draw": draw, "seed": seed}
    with _local_table(plain(out)) as (path, save):
        known = read_probed(path) if path.is_file() else ()
        with Journal(journal_of(path), known) as journal:
            videos = []
            for row in tqdm(
                probe_files(files, journal, engine), "videos", None if packed else len(files), unit="video"
            ):
                videos.append(row)
                save()
        rows = make_rows(videos, accept, table, lists, wanted, draw, seed)
        write_index(path, rows, {"tavlo data index": json.dumps(options)})
        journal.remove()
    tables = [_categories(rows), _reasons(rows, table)]
    others = f"\n\nfiles: {left_out}" if left_out.reasons else ""
    print("\n" + "\n\n".join(each.to_text() for each in tables) + f"{others}\n\nindex: {plain(out)}")


@contextmanager
def _local_table(out: str) -> Iterator[tuple[Path, Callable[[], object]]]:
    """Yields the path at which a table and its journal are, and a function to call after each result.

    Those of an address are in a temporary folder: they are copied there at the start, the journal is copied back every
    `SAVE_S` and after an error, and the table at the end.
    """
    if not is_address(out):
        path = Path(out)
        with exclusive_folder(path.parent, f".{path.name}.lock"):
            yield path, lambda: None
        return
    name = link_of(out).rpartition("/")[2]
    folder = OutputFolder(out.replace(link_of(out), link_of(out)[: -len(name)], 1))
    with staging(folder.root.rstrip("/")) as local:
        path = local / name
        journal = journal_of(path)
        folder.fetch([each for each in (path.name, journal.name) if folder.exists(each)], local)
        journal.touch()
        folder.put(journal, journal.name)  # an error of the address ends the command before the work
        saved_s = time.monotonic()

        def save(after_s: float = SAVE_S) -> None:
            nonlocal saved_s
            if time.monotonic() - saved_s >= after_s:
                folder.put(journal, journal.name)
                saved_s = time.monotonic()

        try:
            yield path, save
        except BaseException:
            with suppress(TavloError):  # the error of the run is the one to report
                save(0)
            raise
        folder.put(path, path.name)
        folder.remove(journal.name)


def journal_of(path: Path) -> Path:
    """Path of the results of an unfinished run, beside the table."""
    return path.with_name(path.name + ".journal")


def _several(names: str | list[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else names or []


def _categories(rows: Sequence[Row]) -> Table:
    """Clips of each category, the largest first."""
    taken = Counter((row.label or UNLABELLED, row.split) for row in rows if not row.reason)
    splits = [split for split in ("train", "test", None) if any(key[1] == split for key in taken)]
    totals = Counter({label: 0 for label, _ in taken})
    for (label, _), count in taken.items():
        totals[label] += count
    ordered = sorted(totals, key=lambda label: (-totals[label], label))
    return Table(
        title=f"{totals.total():,} clips of {len(totals)} categories",
        header=["", *(split or "no split" for split in splits)],
        rows=[[label, *(f"{taken[label, split]:,}" for split in splits)] for label in ordered],
    )


def _reasons(rows: Sequence[Row], table: dict[ClipKey, tuple[str, str]] | None) -> Table:
    """How many videos are left out, by the first words of the reason, each with an example."""
    kinds = Counter(row.reason.partition(":")[0] for row in rows)
    accepted = kinds.pop("", 0)
    examples = {row.reason.partition(":")[0]: row for row in reversed(rows)}
    notes = []
    if table is not None:
        missing = sorted(f"{name}_{start}" for name, start in table.keys() - {clip_key(r.sample_id) for r in rows})
        notes = [f"{len(missing):,} of {len(table):,} clips of the table of labels have no file."] if missing else []
    return Table(
        title=f"{len(rows):,} videos: {accepted:,} clips, {kinds.total():,} left out",
        header=["", "videos", "for example"],
        rows=[
            [kind, f"{count:,}", f"{row.probed.where}: {row.reason.removeprefix(f'{kind}: ')}"]
            for kind, count in kinds.most_common()
            for row in [examples[kind]]
        ],
        notes=notes,
    )
