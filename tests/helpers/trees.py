"""Writers of small folders laid out like AVATAR and VGGSound."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tavlo_pl.data.annotations import AnnotatedFrame, FrameSample
from tavlo_pl.types import Scenario
from tests.helpers.clips import draw_number, write_numbered

RECTANGLE = [[16, 8, 80, 8, 80, 40, 16, 40]]
"""A flat polygon in the 96x64 frames of `write_numbered`."""


def sample_of(frame: AnnotatedFrame, scenario: Scenario) -> FrameSample:
    """The sample of one scenario of a frame."""
    return FrameSample(frame, (scenario,), frame.name)


def instance(task: str = "Single-sound", category: str = "dog", **fields: Any) -> dict[str, Any]:
    """An annotation as AVATAR writes it, with a rectangle unless other geometry is given."""
    geometry = {} if {"segmentation", "bbox"} & fields.keys() else {"segmentation": RECTANGLE}
    return {"task": task, "audio_visual_category": category, **geometry, **fields}


def write_annotation(
    root: Path, clip: str, frame: str, instances: list[dict[str, Any]], width: int = 96, height: int = 64
) -> Path:
    """``<root>/metadata/<clip>/<frame>.json``."""
    path = root / "metadata" / clip / f"{frame}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"original_width": width, "original_height": height, "annotations": instances}))
    return path


def write_avatar(
    root: Path, clips: Mapping[str, Mapping[str, list[dict[str, Any]]]], *, empty: bool = False, **video: Any
) -> Path:
    """A tree with one numbered video for each clip.

    Args:
        root: where to.
        clips: instances by frame name, by clip.
        empty: leave the video files without bytes, for tests that never open them.
        video: arguments of `write_numbered`.
    """
    (root / "video").mkdir(parents=True, exist_ok=True)
    for clip, frames in clips.items():
        path = root / "video" / f"{clip}.mp4"
        if empty:
            path.touch()
        else:
            write_numbered(path, **video)
        (root / "metadata" / clip).mkdir(parents=True, exist_ok=True)
        for frame, instances in frames.items():
            write_annotation(root, clip, frame, instances)
    return root


def write_images(root: Path, clip: str, shown: Mapping[str, int]) -> None:
    """``<root>/metadata/<clip>/<frame>.jpg`` with the image of a frame of `write_numbered`.

    Args:
        root: AVATAR's.
        clip: whose video was written without clicks, so that an image depends on its number only.
        shown: number of the frame to draw, by the name of the file.
    """
    for frame, number in shown.items():
        Image.fromarray(draw_number(number)).save(root / "metadata" / clip / f"{frame}.jpg", quality=90)


def write_vggsound(root: Path, names: list[str], *, empty: bool = False, **video: Any) -> Path:
    """A folder of ``<id>_<start>.mp4`` files and ``vggsound.csv`` with all of them in the training split."""
    root.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in names:
        youtube_id, _, start = name.rpartition("_")
        rows.append(f'{youtube_id},{int(start)},"bird chirping, tweeting",train\n')
        if empty:
            (root / f"{name}.mp4").touch()
        else:
            write_numbered(root / f"{name}.mp4", **video)
    (root / "vggsound.csv").write_text("".join(rows))
    return root
