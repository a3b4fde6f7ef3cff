"""Which samples and clips are worth a look, with their pictures and films decoded from the videos."""

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
"""Samples of each kind; each of another clip, as neighbouring frames look alike."""

OFF_SCREEN_SAMPLES = 3
PICTURE_HEIGHT_PX = 240
JPEG_QUALITY = 85


class Film(NamedTuple):
    """A film to show.

    Attributes:
        file: its path below the page's folder; None where it could not be made.
        caption: what it shows, or why it is not there.
    """

    file: str | None
    caption: str


def best_and_worst(run: RunResults) -> dict[str, list[str]]:
    """Heading -> names of the samples with the highest and the lowest cIoU, and of the most lit off-screen."""
    ciou, below = run.scores(Scenario.SINGLE_SOUND), run.scores(Scenario.OFF_SCREEN)
    best = _lowest(run, -ciou, SAMPLES)
    worst = _lowest(run, np.where(np.isin(run.samples.sample_id, best), np.nan, ciou), SAMPLES)
    found = {"Best": best, "Worst": worst, "Off-screen, most lit": _lowest(run, below, OFF_SCREEN_SAMPLES)}
    return {heading: names for heading, names in found.items() if names}


def gained_and_lost(comparison: Comparison) -> dict[str, list[str]]:
    """Heading -> names of the samples at which the second run is ahead and behind the most in cIoU."""
    first, second = comparison.first, comparison.second
    one, two = comparison.rows.T
    gain = np.full(len(first.samples.sample_id), np.nan)
    gain[one] = second.column(first.rules[0])[two] - first.column(first.rules[0])[one]
    found = {
        f"{second.name} is ahead": _lowest(first, np.where(gain > 0, -gain, np.nan), SAMPLES),
        f"{second.name} is behind": _lowest(first, np.where(gain < 0, gain, np.nan), SAMPLES),
    }
    return {heading: names for heading, names in found.items() if names}


def _lowest(run: RunResults, values: np.ndarray, count: int) -> list[str]:
    """Names of the samples with the lowest of (N,) values, each of another clip; those without a value are passed."""
    chosen: dict[str, str] = {}
    for row in np.argsort(values, kind="stable"):
        if len(chosen) < count and not np.isnan(values[row]):
            chosen.setdefault(str(run.samples.clip[row]), str(run.samples.sample_id[row]))
    return list(chosen.values())


def best_middle_worst(run: RunResults) -> dict[str, str]:
    """What is said of a clip -> the clip, for three clips by their mean cIoU."""
    ciou = run.scores(Scenario.SINGLE_SOUND)
    known = ~np.isnan(ciou)
    if not known.any():
        return {}
    clips, clip = np.unique(run.samples.clip[known], return_inverse=True)
    mean = np.bincount(clip, ciou[known]) / np.bincount(clip)
    order = np.argsort(-mean, kind="stable")
    places = {"Best": order[0], "Middle": order[len(order) // 2], "Worst": order[-1]}
    return {f"{word} clip (mean cIoU {mean[at]:.2f})": str(clips[at]) for word, at in places.items()}


def clips_of(run: RunResults, groups: dict[str, list[str]]) -> dict[str, str]:
    """What is said of a clip -> the clip of the first sample of each group; no clip twice."""
    clips: dict[str, str] = {}
    for heading, names in groups.items():
        found = [str(run.samples.clip[row]) for name in names for row in _rows(run.samples.sample_id, name)]
        new = [clip for clip in found if clip not in clips.values()]
        if new:
            clips[heading] = new[0]
    return clips


def show_all(runs: Sequence[RunResults], names: Sequence[str], bar: "tqdm[None]") -> list[Shown]:
    """Samples with their frame, their ground truth and the maps of every run, as far as a run kept maps of them.

    Args:
        runs: of the page; the first one has all samples.
        names: of the samples.
        bar: takes a step a sample.
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
    showing, segment = int(maps.showing[row]), int(maps.segment[row])
    time_s = float(maps.frame_time_s[showing, segment])
    frame, problem = _frame(str(maps.path[showing]), time_s)
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
        maps={run: each.heatmap[each.showing[at], each.segment[at]] for run, (each, at) in kept.items()},
        scores={labels[run.name]: _score(run, name, scenario) for run in runs},
    )


def make_films(runs: Sequence[RunResults], clips: dict[str, str], folder: Path, bar: "tqdm[None]") -> list[Film]:
    """Overlay films with sound of some clips, for every run that kept several maps of each.

    Args:
        runs: of the page.
        clips: what is said of a clip -> its name.
        folder: of the page; the films go below it.
        bar: takes a step a clip.
    """
    films: list[Film] = []
    for remark, clip in clips.items():
        for run, maps in ((run, run.maps) for run in runs if run.maps and run.maps.heatmap.shape[1] > 1):
            for showing in _rows(maps.clip, clip)[:1]:
                said = f"{remark}: {clip}{f', {run.name}' if len(runs) > 1 else ''}"
                films.append(_film(maps, showing, folder, f"films/{len(films) + 1}.mp4", said))
        bar.update()
    return films


def _film(maps: SampleMaps, showing: int, folder: Path, name: str, said: str) -> Film:
    """One film; the opacity of the colour is the score, on one scale for the clip, linear in time between maps."""
    heatmap = maps.heatmap[showing].astype(np.float32)
    scores, time_s = Scale.of(heatmap)(heatmap), maps.frame_time_s[showing]
    try:
        media.map_frames(
            str(maps.path[showing]), folder / name, lambda frame, now_s: blend(frame, map_at(scores, time_s, now_s))
        )
    except MediaError as error:
        return Film(None, f"{said}. No film: {error}")
    return Film(name, said)


def _frame(path: str, time_s: float) -> tuple[np.ndarray | None, str | None]:
    """(H, W, 3) uint8 picture of a moment, or why there is none; no reason where no video was known."""
    if not path or np.isnan(time_s):
        return None, None
    try:
        frame = media.read_clip(path, [time_s], None, 0.0, 0.0).frames[0]
    except MediaError as error:
        return None, f"No picture: {error}"
    return (resize(frame, PICTURE_HEIGHT_PX) if frame.shape[0] > PICTURE_HEIGHT_PX else frame), None


def _jpeg(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()


def _score(run: RunResults, name: str, scenario: str) -> str:
    """What a run reached on a sample by the rule of its table."""
    place = next(iter(_rows(run.samples.sample_id, name)), None)
    if place is None:
        return "not in this run"
    value = run.scores(scenario)[place]
    figure = "unlit" if scenario == Scenario.OFF_SCREEN else "cIoU"
    return f"{figure} {value:.2f} by {run.rule_of(scenario)}"


def _rows(names: np.ndarray, name: str) -> list[int]:
    """Where a name stands."""
    rows: list[int] = np.flatnonzero(names == name).tolist()
    return rows
