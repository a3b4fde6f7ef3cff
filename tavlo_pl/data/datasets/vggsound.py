"""VGGSound: 200,000 ten-second clips of 309 classes, cut from YouTube; the training data.

``vggsound.csv`` has no header; a row is ``youtube_id,start_seconds,label,split`` with quotes around labels that contain
a comma. ``vggsound_test.csv`` has rows ``<id>_<start>.mp4,label``, all of the test split. Clips are files
``<id>_<start>.mp4`` at any depth below the root; the start is compared as a number, because the number of digits
differs between copies.
"""

import csv
import io
from pathlib import Path
from typing import Literal

from tavlo_pl.data.clip import Clip, ClipSource
from tavlo_pl.data.clip_ids import MOST_DIGITS, ClipKey, clip_key, is_listed, read_ids
from tavlo_pl.data.video_files import report_missing, videos_below
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tavlo_pl.io.parsing import read_text


class VGGSound(ClipSource):
    """Reads VGGSound's clips. A fifth of the videos is no longer on YouTube, so missing files are only reported.

    Args:
        root: folder with the mp4 files, at any depth.
        csv: the table of clips; without it ``<root>/vggsound.csv``.
        split: which split to take, or None for both. None also allows a folder of files without a table.
        ids: text file of the clips to take (``<id>_<start>`` or the id alone, one per line), within the split.

    Raises:
        DatasetNotFoundError: folder, table or list is missing, or none of the clips exists.
        AnnotationError: a row of the table cannot be read.
    """

    def __init__(
        self,
        root: str,
        csv: str | None = None,
        split: Literal["train", "test"] | None = "train",
        ids: str | None = None,
    ) -> None:
        self.root = Path(root)
        self.csv = Path(csv) if csv is not None else None
        self.split = split
        self.ids = Path(ids) if ids is not None else None

    def clips(self) -> list[Clip]:
        """The selected clips whose file exists, sorted by name."""
        files = videos_below(self.root)
        table = self.csv or self.root / "vggsound.csv"
        if self.csv is None and self.split is None and not table.is_file():
            labels: dict[ClipKey, str | None] = dict.fromkeys(files)
        else:
            labels = {key: label for key, label, split in read_table(table) if self.split in (None, split)}
        if self.ids is not None:
            ids = read_ids(self.ids)
            labels = {key: label for key, label in labels.items() if is_listed(key, ids)}
        clips = [Clip(files[k].stem, files[k], category=label) for k, label in labels.items() if k in files]
        missing = sorted(f"{name}_{start}" for name, start in labels.keys() - files.keys())
        report_missing("VGGSound", missing, len(labels), "file")
        if not clips:
            raise DatasetNotFoundError(
                f"{self.root}: none of the {len(labels)} clips of split {self.split or 'any'} in {table} is "
                f"among the {len(files)} files <id>_<start>.mp4 below it; check root, csv, split and ids."
            )
        return sorted(clips, key=lambda clip: clip.sample_id)


def read_table(path: Path) -> list[tuple[ClipKey, str, str]]:
    """The (clip, label, split) of each row of ``vggsound.csv`` or ``vggsound_test.csv``.

    Raises:
        DatasetNotFoundError: the file does not exist.
        AnnotationError: the file is not text, or a row has another format.
    """
    if not path.is_file():
        raise DatasetNotFoundError(
            f"{path}: no such table of clips; give csv (rows youtube_id,start_seconds,label,split), or "
            f"split: null to take every file."
        )
    rows = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        return [_row(row, f"{path}, line {rows.line_num}") for row in rows if row]
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {rows.line_num}: no table ({error}); download it again.") from error


def _row(row: list[str], where: str) -> tuple[ClipKey, str, str]:
    match row:
        case [name, start, label, "train" | "test" as split] if start.strip().isdecimal() and len(start) <= MOST_DIGITS:
            return (name, int(start.strip())), label, split  # int() accepts separators such as \x1c
        case [file, label] if file.endswith(".mp4"):
            return clip_key(file), label, "test"
    raise AnnotationError(
        f"{where}: expected youtube_id,start_seconds,label,split or <id>_<start>.mp4,label (no header, "
        f"labels with a comma in quotes), found {row}."
    )
