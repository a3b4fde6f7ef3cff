"""Whether ``tavlo annotate propose`` finds annotated moments and sharp frames, with the packaged checkpoint.

``python -m benchmarks.proposals --root DIR`` takes clips of a folder in AVATAR's layout, by default of a procedural
world that it makes. Half of the frames of each clip, drawn at random, are blurred by a Gaussian of 0.5 to 3 pixels.

- An annotated moment is found if an audio-active region is at most 0.3 s from it. The share of the time of all clips
  that is as near to a region is what moments drawn at random would reach.
- A proposed frame is compared with every other frame of its region: a comparison is won if its variance of the
  Laplacian is higher, measured on the frames of the blurred video.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jsonargparse import auto_cli
from PIL import Image, ImageFilter

from benchmarks.report import Row, single, write
from tavlo_pl.annotate.activity import Span
from tavlo_pl.annotate.project import ClipProposals, Project
from tavlo_pl.annotate.propose import PACKAGED
from tavlo_pl.annotate.sharpness import sharpness
from tavlo_pl.commands.annotate_propose import propose
from tavlo_pl.data import media
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.data.synthetic.write import write_world

NEAR_S = 0.3
BLURRED_SHARE = 0.5
BLUR_PX = (0.5, 3.0)
GRID_S = 0.01


def write_blurred(clip: Clip, path: Path, seed: int) -> np.ndarray:
    """Writes a copy of a clip in which frames are blurred; returns (N,) the radius of each frame in pixels."""
    info, times_s = media.probe(clip.path), media.frame_times(clip.path)
    rng = np.random.default_rng(seed)
    blur_px = rng.uniform(*BLUR_PX, len(times_s)) * (rng.random(len(times_s)) < BLURRED_SHARE)
    frames = media.read_clip(clip.path, times_s, None, 0.0, 0.0).frames
    blurred = [
        np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))
        for frame, radius in zip(frames, blur_px.tolist(), strict=True)
    ]
    waveform = media.read_waveform(clip.path, 0.0, info.duration_s)
    media.write_clip(path, blurred, round(info.frame_rate), waveform, media.SAMPLE_RATE_HZ)
    return blur_px


def is_near(regions: tuple[Span, ...], time_s: float) -> bool:
    """Whether a time is in a region or at most `NEAR_S` from one."""
    return any(start_s - NEAR_S <= time_s <= end_s + NEAR_S for start_s, end_s in regions)


@dataclass
class Found:
    """What was measured of the proposals of some clips.

    Attributes:
        near: whether an annotated moment is near a region.
        covered: whether a moment of a regular grid is.
        won: of a proposed frame, the share of the other frames of its region that are less sharp.
        clear: whether a proposed frame has no added blur.
        others_clear: the share of the other frames of its region that have none.
    """

    near: list[bool] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    won: list[float] = field(default_factory=list)
    clear: list[bool] = field(default_factory=list)
    others_clear: list[float] = field(default_factory=list)

    def add(self, clip: Clip, found: ClipProposals, path: Path, blur_px: np.ndarray) -> None:
        """Measures the proposals of a clip.

        Args:
            clip: with its annotated frames.
            found: the proposals.
            path: the blurred video.
            blur_px: (N,) see `write_blurred`.
        """
        times_s = media.frame_times(path)
        moments_s = [float(times_s[frame.number]) for frame in clip.annotations if frame.number is not None]
        self.near += [is_near(found.regions, time_s) for time_s in moments_s]
        self.covered += [is_near(found.regions, time_s) for time_s in np.arange(0, found.duration_s, GRID_S).tolist()]
        values = sharpness(media.read_clip(path, times_s, None, 0.0, 0.0).frames)
        for frame in found.frames:
            start_s, end_s = found.regions[frame.region]
            number = frame.record.number
            others = [n for n in np.flatnonzero((times_s >= start_s) & (times_s < end_s)).tolist() if n != number]
            if others:
                self.won.append(float(np.mean(values[number] > values[others])))
                self.clear.append(bool(blur_px[number] == 0))
                self.others_clear.append(float(np.mean(blur_px[others] == 0)))

    def rows(self) -> list[Row]:
        """The results."""
        clear = f"{np.mean(self.others_clear):.2f} of the other frames of their regions"
        return [
            _share(f"annotated moments at most {NEAR_S:g} s from a region", self.near, f"{len(self.near)} moments"),
            _share(f"time at most {NEAR_S:g} s from a region", self.covered),
            _share("a proposed frame is sharper than another of its region", self.won, f"{len(self.won)} frames"),
            _share("proposed frames without added blur", self.clear, clear),
        ]


def _share(what: str, values: Sequence[float], detail: str = "") -> Row:
    return single(what, float(np.mean(values)), "share", detail)


def measure(clips: list[Clip], place: Path) -> list[Row]:
    """Proposes blurred copies of clips, and measures."""
    radii = [write_blurred(clip, place / "videos" / f"{clip.sample_id}.mp4", n) for n, clip in enumerate(clips)]
    propose(
        root=str(place / "videos"), out=str(place / "project"), min_frames=1, max_frames=10_000,
        duration_s=media.probe(clips[0].path).duration_s, width=None, height=None, jobs=1, ckpt_path=PACKAGED,
    )  # fmt: skip
    project, found = Project(place / "project"), Found()
    for clip, blur_px in zip(clips, radii, strict=True):
        found.add(clip, project.proposals(clip.sample_id), project.video(clip.sample_id), blur_px)
    return found.rows()


def main(root: str | None = None, clips: int = 40) -> None:
    """Measures and writes the results.

    Args:
        root: folder in AVATAR's layout; by default a procedural world of 8 clips for each kind of scene.
        clips: so many of its clips, evenly over the list.
    """
    with tempfile.TemporaryDirectory() as place:
        if root is None:
            write_world(str(Path(place, "world")), 1, 8, 1, frame_rate=12)
            root = str(Path(place, "world", "test"))
        listed = AVATAR(root).clips()
        drawn = [listed[n] for n in np.linspace(0, len(listed) - 1, min(clips, len(listed))).round().astype(int)]
        write("proposals", measure(drawn, Path(place)))


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
