"""Selects the samples and clips that a report shows, decodes their frames and writes their overlay videos."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from tavlo_pl.data import media
from tavlo_pl.errors import MediaError
from tavlo_pl.report.compare import Comparison
from tavlo_pl.report.load import RunResults
from tavlo_pl.run.results import SampleMaps
from tavlo_pl.types import Scenario
from tavlo_pl.viz.overlay import Scale, blend, map_at, resize
from tavlo_pl.viz.slider import Shown

SAMPLES = 6
"""Samples in each group; each is of another clip, because neighbouring frames are similar."""

OFF_SCREEN_SAMPLES = 3
FRAME_HEIGHT_PX = 240
JPEG_QUALITY = 85
VIDEOS = "videos"
"""Folder of the overlay videos below the page."""


class OverlayVideo(NamedTuple):
    """An overlay video of the page.

    Attributes:
        file: its path relative to the folder of the page; None where writing failed.
        caption: the clip, and the reason where writing failed.
    """

    file: str | None
    caption: str


def best_and_worst(run: RunResults) -> dict[str, list[str]]:
    """Selects samples of a run.

    Returns:
        Heading -> names of the samples with the highest and the lowest cIoU, and of the off-screen samples with the
        largest share of pixels above the threshold.
    """
    ciou, tn_rate = run.scores(Scenario.SINGLE_SOUND), run.scores(Scenario.OFF_SCREEN)
    best = _lowest(run, -ciou, SAMPLES)
    worst = _lowest(run, np.where(np.isin(run.samples.sample_id, best), np.nan, ciou), SAMPLES)
    found = {
        "Best": best,
        "Worst": worst,
        "Off-screen, most false positives": _lowest(run, tn_rate, OFF_SCREEN_SAMPLES),
    }
    return {heading: names for heading, names in found.items() if names}


def gained_and_lost(comparison: Comparison) -> dict[str, list[str]]:
    """Selects samples of a comparison.

    Returns:
        Heading -> names of the samples at which the cIoU of the second run exceeds that of the first the most, and at
        which it is below that of the first the most.
    """
    first, second = comparison.first, comparison.second
    one, two = comparison.rows.T
    gain = np.full(len(first.samples.sample_id), np.nan)
    gain[one] = second.model_values(first.rules[0])[two] - first.model_values(first.rules[0])[one]
    found = {
        f"{second.name} is better": _lowest(first, np.where(gain > 0, -gain, np.nan), SAMPLES),
        f"{second.name} is worse": _lowest(first, np.where(gain < 0, gain, np.nan), SAMPLES),
    }
    return {heading: names for heading, names in found.items() if names}


def _lowest(run: RunResults, values: np.ndarray, count: int) -> list[str]:
    """Names of the samples with the lowest of (N,) values, each of another clip; samples with NaN are excluded."""
    chosen: dict[str, str] = {}
    for row in np.argsort(values, kind="stable"):
        if len(chosen) < count and not np.isnan(values[row]):
            chosen.setdefault(str(run.samples.clip[row]), str(run.samples.sample_id[row]))
    return list(chosen.values())


def best_middle_worst(run: RunResults) -> dict[str, str]:
    """Description -> clip, for the clips with the highest, the median and the lowest mean cIoU."""
    ciou = run.scores(Scenario.SINGLE_SOUND)
    known = ~np.isnan(ciou)
    if not known.any():
        return {}
    clips, clip = np.unique(run.samples.clip[known], return_inverse=True)
    mean = np.bincount(clip, ciou[known]) / np.bincount(clip)
    order = np.argsort(-mean, kind="stable")
    places = {"Best": order[0], "Median": order[len(order) // 2], "Worst": order[-1]}
    return {f"{word} clip (mean cIoU {mean[at]:.2f})": str(clips[at]) for word, at in places.items()}


def clips_of(run: RunResults, groups: dict[str, list[str]]) -> dict[str, str]:
    """Heading -> clip of the first sample of each group; each clip once."""
    clips: dict[str, str] = {}
    for heading, names in groups.items():
        found = [str(run.samples.clip[row]) for name in names for row in _rows(run.samples.sample_id, name)]
        new = [clip for clip in found if clip not in clips.values()]
        if new:
            clips[heading] = new[0]
    return clips


def show_all(runs: Sequence[RunResults], names: Sequence[str], bar: "tqdm[None]") -> list[Shown]:
    """Reads samples with their frame, their ground truth and the maps of every run that stored maps of them.

    Args:
        runs: of the page; the first run contains all samples.
        names: of the samples.
        bar: progress bar, updated once a sample.
    """
    shown = []
    for name in names:
        sample = _show(runs, name)
        shown += [sample] if sample else []
        bar.update()
    return shown


def _show(runs: Sequence[RunResults], name: str) -> Shown | None:
    labels = {run.name: run.name if len(runs) > 1 else "prediction" for run in runs}
    kept = {labels[run.name]: (run.maps, row) for run in runs if run.maps for row in _rows(run.maps.sample_id, name)}
    if not kept:
        return None
    maps, row = next(iter(kept.values()))
    time_s = float(maps.time_s[row])
    frame, problem = _frame(str(maps.path[maps.showing[row]]), time_s)
    sample = next(place for place in _rows(runs[0].samples.sample_id, name))
    scenario = str(runs[0].samples.scenario[sample])
    known = [scenario, str(runs[0].samples.category[sample]), "" if np.isnan(time_s) else f"at {time_s:.2f} s"]
    lines = [" · ".join(word for word in known if word), *([problem] if problem else [])]
    return Shown(
        title=name.removesuffix(f"/{scenario}"),
        lines=lines,
        frame=None if frame is None else _jpeg(frame),
        aspect=1.0 if frame is None else frame.shape[1] / frame.shape[0],
        truth=maps.truth(row),
        maps={run: each.map_of(at) for run, (each, at) in kept.items()},
        scores={labels[run.name]: _score(run, name, scenario) for run in runs},
    )


def write_overlay_videos(
    runs: Sequence[RunResults], clips: dict[str, str], folder: Path, bar: "tqdm[None]"
) -> list[OverlayVideo]:
    """Writes overlay videos with audio, for every run that stored several maps of each clip.

    Args:
        runs: of the page.
        clips: description -> name of the clip.
        folder: of the page; the videos are written to a folder below it.
        bar: progress bar, updated once a clip.
    """
    videos: list[OverlayVideo] = []
    for remark, clip in clips.items():
        for run, maps in ((run, run.maps) for run in runs if run.maps and run.maps.heatmap.shape[1] > 1):
            for showing in _rows(maps.clip, clip)[:1]:
                caption = f"{remark}: {clip}{f', {run.name}' if len(runs) > 1 else ''}"
                videos.append(_overlay_video(maps, showing, folder, f"{VIDEOS}/{len(videos) + 1}.mp4", caption))
        bar.update()
    return videos


def _overlay_video(maps: SampleMaps, showing: int, folder: Path, name: str, caption: str) -> OverlayVideo:
    """Writes one video; the opacity is the score, on one scale for the clip, linear in time between maps."""
    heatmap = maps.heatmap[showing].astype(np.float32)
    scores, time_s = Scale.of(heatmap)(heatmap), maps.frame_time_s[showing]
    try:
        media.map_frames(
            str(maps.path[showing]), folder / name, lambda frame, now_s: blend(frame, map_at(scores, time_s, now_s))
        )
    except MediaError as error:
        return OverlayVideo(None, f"{caption}. No overlay video: {error}")
    return OverlayVideo(name, caption)


def _frame(path: str, time_s: float) -> tuple[np.ndarray | None, str | None]:
    """The (H, W, 3) uint8 frame at a time, or the reason why it is not available; neither without a video path."""
    if not path or np.isnan(time_s):
        return None, None
    try:
        frame = media.read_clip(path, [time_s], None, 0.0, 0.0).frames[0]
    except MediaError as error:
        return None, f"No frame: {error}"
    return (resize(frame, FRAME_HEIGHT_PX) if frame.shape[0] > FRAME_HEIGHT_PX else frame), None


def _jpeg(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _score(run: RunResults, name: str, scenario: str) -> str:
    """The score of a run on a sample by the rule of its table, as text."""
    place = next(iter(_rows(run.samples.sample_id, name)), None)
    if place is None:
        return "not in this run"
    shown = Scenario.OFF_SCREEN if scenario == Scenario.OFF_SCREEN else Scenario.SINGLE_SOUND  # of both kinds, the cIoU
    name_of_score = "tn_rate" if scenario == Scenario.OFF_SCREEN else "cIoU"
    return f"{name_of_score} {run.scores(shown)[place]:.2f} by {run.rule_of(shown)}"


def _rows(names: np.ndarray, name: str) -> list[int]:
    """Indices of a name."""
    rows: list[int] = np.flatnonzero(names == name).tolist()
    return rows
