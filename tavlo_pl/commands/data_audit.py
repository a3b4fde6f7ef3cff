"""``tavlo data audit``: what leaks from training into the test, and what is wrong with lists and files."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tavlo_pl.data.audit.files import check_files, read_listing, report
from tavlo_pl.data.audit.frame_offset import OFFSETS
from tavlo_pl.data.clip_ids import clip_key
from tavlo_pl.data.leakage import MOST_NAMED, Overlap, find_overlap, video_of
from tavlo_pl.data.media import DEFAULT_LIMITS, Limits, set_limits
from tavlo_pl.errors import ConfigError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.viz.table import NOTHING, Table

AUDIT = "audit.json"
CLEAN = "train_without_overlap.txt"


def audit(
    train: str,
    test: str,
    train_videos: str | None = None,
    test_videos: str | None = None,
    duration_s: float = 10.0,
    out: str = ".",
    limits: Limits = DEFAULT_LIMITS,
) -> None:
    """Says whether training clips leak into the test and what is wrong with lists and files; writes OUT/audit.json.

    Where clips overlap, OUT/train_without_overlap.txt is the training list without them. Videos are opened where their
    folder is known: given, or part of what is audited.

    Args:
        train: clips to train on: an index, a text file of ids, vggsound.csv, or a folder of a data set or of videos.
        test: clips to test on: the same, vggsound_test.csv, vggss.json, or AVATAR's root or its metadata.
        train_videos: folder of the training videos <id>_<start>.mp4, where train is a mere list.
        test_videos: folder of the test videos, where test is a mere list.
        duration_s: length that video and audio of a clip should have.
        out: folder of audit.json.
        limits: what media files may state of themselves.

    Raises:
        ConfigError: an option that cannot be.
        DatasetNotFoundError: a list or a folder is not there, or it is empty.
        AnnotationError: a list cannot be read.
    """
    if duration_s <= 0:
        raise ConfigError(f"--duration_s {duration_s} must be above 0.")
    set_limits(limits)
    listings = {
        "train": read_listing(Path(train), "train", Path(train_videos) if train_videos else None),
        "test": read_listing(Path(test), "test", Path(test_videos) if test_videos else None),
    }
    overlap = find_overlap(listings["train"].names, listings["test"].names)
    files = sum(len(listing.found) for listing in listings.values())
    with tqdm(total=files, desc="files", unit="file", disable=not files) as bar:
        sides = {side: report(each, check_files(each, bar.update), duration_s) for side, each in listings.items()}

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    counts = {f"overlap_{name}": len(clips) for name, clips in _overlaps(overlap).items()}
    content = {**counts, "overlap": _overlaps(overlap), "duration_s": duration_s, **sides}
    write_text_atomic(folder / AUDIT, json.dumps(content, indent=2) + "\n")
    framed = {side: found for side, found in sides.items() if found["frames"] is not None and found["files"]}
    left_out = {side: str(each.left_out) for side, each in listings.items() if each.left_out.reasons}
    tables = [
        _sides_table(sides, left_out, duration_s),
        *([_frames_table(framed)] if framed else []),
        _overlap_table(overlap),
    ]
    print("\n" + "\n\n".join(table.to_text() for table in tables) + "\n")
    if overlap.youtube:
        leaking = {video_of(clip_key(name)) for name in overlap.youtube}
        clean = [name for key, name in listings["train"].clips.items() if video_of(key) not in leaking]
        write_text_atomic(folder / CLEAN, "".join(f"{name}\n" for name in clean))
        print(f"training list without the overlap: {folder / CLEAN} ({len(clean):,} clips)")
    print(f"audit: {folder / AUDIT}")


def _overlaps(overlap: Overlap) -> dict[str, tuple[str, ...]]:
    return {"exact": overlap.exact, "youtube": overlap.youtube, "start_unknown": overlap.start_unknown}


def _overlap_table(overlap: Overlap) -> Table:
    rows = {"the same clip": overlap.exact, "the same YouTube video": overlap.youtube}
    if overlap.start_unknown:
        rows["perhaps the same clip: a list without starts"] = overlap.start_unknown
    return Table(
        title=f"Leak: which of the {overlap.tested:,} test clips are in the training list",
        header=["", "test clips", "share", "the first"],
        rows=[
            [what, f"{len(clips):,}", f"{len(clips) / overlap.tested:.1%}", _some(clips) or NOTHING]
            for what, clips in rows.items()
        ],
    )


def _sides_table(sides: dict[str, dict[str, Any]], left_out: dict[str, str], duration_s: float) -> Table:
    """Counts of both sides, and below them the first names of whatever is wrong."""
    wrong = {
        "entries of a clip listed before": "duplicates",
        "missing files": "missing",
        "unreadable files": "unreadable",
        "files without sound": "without_sound",
        f"video or audio not {duration_s:g} s long": "wrong_duration",
    }
    plain = {"clips": "clips", "YouTube videos": "youtube_videos", "names without a YouTube id": "without_youtube_id"}

    def count(found: dict[str, Any], key: str) -> str:
        if key == "duplicates":
            return f"{found['entries'] - found['clips']:,}"
        return NOTHING if found["missing"] is None else f"{len(found[key]):,}"

    rows = [["", *(found["kind"] for found in sides.values())]]
    rows += [[what, *(f"{found[key]:,}" for found in sides.values())] for what, key in plain.items()]
    rows += [[what, *(count(found, key) for found in sides.values())] for what, key in wrong.items()]
    notes = [
        f"{side}: {what}: {_some(found[key])}"
        for side, found in sides.items()
        for what, key in wrong.items()
        if found[key]
    ]
    notes += [f"{side}: files: {text}" for side, text in left_out.items()]
    if any(found["missing"] is None for found in sides.values()):
        notes.append(f"{NOTHING}: no folder of videos given (--train_videos, --test_videos).")
    return Table(title="Lists and files", header=["", *sides], rows=rows, notes=notes)


def _frames_table(sides: dict[str, dict[str, Any]]) -> Table:
    """Which decoded frame the annotated images are."""
    said = {
        "n-1": "frame n-1",
        "n": "frame n",
        "n+1": "frame n+1",
        "alike": "one of three that are alike",
        "none": "none of the three",
        "past_end": "after the end of the video",
        "no_video": "not there",
        "unreadable": "damaged",
    }
    fits = [found["frames"]["fits"] for found in sides.values()]
    return Table(
        title="Frame numbers: among the decoded frames, counted from 0, the .jpg of annotated frame n is ...",
        header=["", *sides],
        rows=[
            [what, *(f"{counts[fit]:,}" for counts in fits)]
            for fit, what in said.items()
            if fit in OFFSETS or any(counts[fit] for counts in fits)
        ],
        notes=[note for side, found in sides.items() for note in _frames_notes(side, found["frames"])],
    )


def _frames_notes(side: str, found: dict[str, Any]) -> list[str]:
    base, against = found["frame_base"], found["against"]
    if base is None:
        counted = sum(found["fits"][fit] for fit in OFFSETS)
        why = "the frames disagree" if counted else "no frame has a result"
        return [f"{side}: frame_base stays open: {why}."]
    notes = [f"{side}: frame_base {base} fits: frames are counted from {base}."]
    return [*notes, f"{side}: not so in {len(against):,} frames: {_some(against)}"] if against else notes


def _some(names: Iterable[str]) -> str:
    first = list(names)
    return ", ".join(first[:MOST_NAMED]) + (", ..." if len(first) > MOST_NAMED else "")
