"""Annotated frames by clip, read from and written to AVATAR's layout."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, parse_frame, read_frame
from tavlo_pl.annotate.project import PROJECT_FILE, Project
from tavlo_pl.data.datasets.avatar import find_part
from tavlo_pl.errors import AnnotationError, ConfigError, DatasetNotFoundError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import is_unicode

LONGEST_NAME_BYTES = 200
"""Of a clip, whose files have longer names."""

Tree = dict[str, list[FrameRecord]]
"""Frames by clip, both ascending."""


def avatar_root(folder: Path) -> Path:
    """The folder in AVATAR's layout: that of a project, or the folder itself."""
    return Project(folder).avatar if (folder / PROJECT_FILE).is_file() else folder


def read_tree(folder: Path) -> Tree:
    """The frames with annotations of a project or of a folder in AVATAR's layout.

    Raises:
        DatasetNotFoundError: the folder has no annotated frame.
        AnnotationError: a file cannot be read.
    """
    metadata = find_part(avatar_root(folder), "metadata")
    tree: Tree = {}
    for clip in sorted(metadata.iterdir()) if metadata is not None else ():
        paths = sorted(path for path in clip.glob("*.json") if not path.name.startswith("."))
        frames = [frame for frame in map(read_frame, paths) if frame.annotations]
        if frames:
            tree[clip.name] = sorted(frames, key=lambda frame: frame.number)
    if not tree:
        raise DatasetNotFoundError(f"{folder}: no frame there has annotations; finish some with tavlo annotate serve")
    return tree


def write_tree(tree: Tree, source: Path, out: Path) -> None:
    """Writes a new folder in AVATAR's layout, with AVATAR's fields and what is known of each instance.

    Args:
        tree: the frames.
        source: project or folder in AVATAR's layout whose videos are linked, and whose images of frames
            are copied; those that it lacks are left out.
        out: the new folder.

    Raises:
        ConfigError: the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty; choose another --out")
    videos = find_part(avatar_root(source), "video")
    for clip, frames in tree.items():
        folder = out / "metadata" / clip
        folder.mkdir(parents=True)
        for frame in frames:
            content = frame.to_json()
            del content["tavlo"]
            write_text_atomic(folder / f"{frame.name}.json", json.dumps(content) + "\n")
            image = _image(source, clip, frame)
            if image.is_file():
                shutil.copyfile(image, folder / f"{frame.name}.jpg")
        video = videos / f"{clip}.mp4" if videos is not None else None
        if video is not None and video.exists():
            (out / "video").mkdir(exist_ok=True)
            os.symlink(video.resolve(), out / "video" / f"{clip}.mp4")


def _image(source: Path, clip: str, frame: FrameRecord) -> Path:
    """The JPEG file of a frame, which AVATAR has beside its annotations."""
    if (source / PROJECT_FILE).is_file():
        return Project(source).image(clip, frame.name)
    return (find_part(source, "metadata") or source) / clip / f"{frame.name}.jpg"


def annotated(tree: Tree) -> Iterator[tuple[str, FrameRecord, FrameInstance]]:
    """Clip, frame and instance of all annotations."""
    for clip, frames in tree.items():
        for frame in frames:
            for each in frame.annotations:
                yield clip, frame, each


def make_tree(records: Mapping[tuple[str, int], dict[str, Any]], where: str) -> Tree:
    """Checks imported frames.

    Args:
        records: values of AVATAR's files by clip and number of the frame.
        where: the file, for messages.

    Raises:
        AnnotationError: a frame is invalid, or there is none.
    """
    if not records:
        raise AnnotationError(f"{where}: it has no annotated frame.")
    tree: Tree = {}
    for (clip, number), record in sorted(records.items()):
        is_name = clip.isprintable() and "/" not in clip and not clip.startswith(".") and is_unicode(clip)
        if not clip or not is_name or len(clip.encode()) > LONGEST_NAME_BYTES:
            raise AnnotationError(f"{where}: {clip[:60]!r} cannot be the name of a clip.")
        if not 0 <= number < 10**9:
            raise AnnotationError(f"{where}: {number} cannot be the number of a frame.")
        frame = parse_frame(record, number, f"{where}: clip {clip}, frame {number}")
        tree.setdefault(clip, []).append(frame)
    return tree
