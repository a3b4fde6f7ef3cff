r"""Where temporal attention lies at samples of the cue ``memory``: on moments at which the source was seen and heard?

::

    python -m benchmarks.memory_cue --split .results/world/test --out FILE.svg \
        --ckpt_path .results/ablations/attention_tokens/0/checkpoints/best.ckpt

The checkpoint has temporal attention; the split is that of a procedural world of clips as long as those of the
checkpoint. A sample is a visible source of an annotated frame. A segment is *active* if the source is seen and heard to
move at its middle (`ReplayedClip.is_active`). The weights over time of the sample's segment are those of

- the audio token, mean over heads and blocks;
- the cells of the source, weighted by how much of a cell it covers;
- the average of score maps of the recommended configuration, which depend on the distance in time alone.

The figure has the mean weight by distance in time, for memory samples and for all others. The table, printed as
Markdown, has the share of the weights on active segments before the sample, against uniform weights and against weights
that depend on the distance alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jsonargparse import auto_cli
from torch.nn.functional import adaptive_avg_pool2d

from benchmarks.scenes import ReplayedClip, replay
from tavlo_pl.data.segments import centres, segment_of
from tavlo_pl.errors import ConfigError, MediaError
from tavlo_pl.io.atomic import write_text_atomic
from tavlo_pl.io.parsing import read_json
from tavlo_pl.metrics.functional.bootstrap import bootstrap_interval
from tavlo_pl.nn.temporal import TemporalAverage
from tavlo_pl.predict.checkpoint import load_localizer
from tavlo_pl.predict.localizer import Localizer, ModelWindows
from tavlo_pl.types import Cue
from tavlo_pl.viz.plots import Interval, interval_curves
from tavlo_pl.viz.table import NOTHING, Table

AUDIO, CELLS, AVERAGE = "audio token", "cells of the source", "average of score maps"
GROUPS = {True: "memory samples", False: "other samples"}
FARTHEST_S = 2.0
"""Largest distance in time that the figure shows."""


@dataclass(frozen=True)
class CueSample:
    """A visible source of an annotated frame.

    Attributes:
        clip: number of its clip.
        is_memory: whether its cue is `Cue.MEMORY`.
        segment: of the annotated frame.
        active: (T,) bool, the segments at whose middle the source is seen and heard to move.
        weights: name -> (T,) weights over time of the annotated segment.
    """

    clip: int
    is_memory: bool
    segment: int
    active: np.ndarray
    weights: dict[str, np.ndarray]

    @property
    def earlier(self) -> np.ndarray:
        """(T,) bool, the active segments before the annotated one."""
        return self.active & (np.arange(len(self.active)) < self.segment)

    @property
    def last(self) -> np.ndarray:
        """(T,) bool, the last of them."""
        last = np.zeros_like(self.active)
        last[np.flatnonzero(self.earlier)[-1:]] = True
        return last


def measure(split: str, ckpt_path: str, out: str, average: tuple[float, float] = (0.45, 0.35)) -> None:
    """Writes the figure and prints the table.

    Args:
        split: folder of the test clips of a procedural world.
        ckpt_path: checkpoint of a model with temporal attention.
        out: the SVG file.
        average: decay of the average of score maps per segment, toward the past and the future.
    """
    localizer = load_localizer(Path(ckpt_path))
    clips = replay(Path(split))
    attention = attention_of(localizer, clips)
    fixed = TemporalAverage(average).weights(localizer.spec.segments).numpy()
    samples = [
        sample
        for number, clip in enumerate(clips)
        for sample in samples_of(clip, number, Path(split), attention[clip.scene.name], fixed)
    ]
    print(share_table(samples).to_markdown())
    segment_s = localizer.spec.duration_s / localizer.spec.segments
    write_text_atomic(Path(out), draw(samples, segment_s))


def attention_of(localizer: Localizer, clips: Sequence[ReplayedClip]) -> dict[str, np.ndarray]:
    """Name of the clip -> (1 + hw, T, T) weights of temporal attention, mean over the blocks.

    Raises:
        ConfigError: the model has no temporal attention, or a clip has several windows.
        MediaError: a clip cannot be read.
    """
    found: dict[str, np.ndarray] = {}

    def keep(windows: ModelWindows) -> None:
        if windows.total > 1:
            raise ConfigError(f"{windows.sample_id} is longer than the {localizer.spec.duration_s} s of the checkpoint")
        weights = localizer.model.temporal_attention(windows.frames, windows.spectrogram)[0]
        found[windows.sample_id] = weights.float().mean(0).cpu().numpy()

    videos = [(clip.scene.name, clip.video) for clip in clips]
    for _, localized in localizer.localize_all(videos, on_windows=keep):
        if isinstance(localized, MediaError):
            raise localized
    return found


def samples_of(
    clip: ReplayedClip, number: int, split: Path, attention: np.ndarray, fixed: np.ndarray
) -> list[CueSample]:
    """The samples of a clip.

    Args:
        clip: a clip of a procedural world.
        number: of the clip.
        split: folder with its annotations.
        attention: (1 + hw, T, T) weights of temporal attention, of square maps.
        fixed: (T, T) weights of the average of score maps.
    """
    segments, duration_s = attention.shape[-1], clip.world.duration_s
    side = round((len(attention) - 1) ** 0.5)
    middles_s = centres(segments, duration_s).tolist()
    views = [clip.draw(time_s)[1] for time_s in middles_s]
    samples = []
    for file in sorted((split / "metadata" / clip.scene.name).glob("*.json")):
        time_s = int(file.stem) / clip.world.frame_rate
        at = segment_of(time_s, segments, duration_s)
        if at is None:
            continue
        _, view = clip.draw(time_s)
        cues = {each["audio_visual_category"]: each.get("cue") for each in read_json(file)["annotations"]}
        for actor in clip.sources(time_s, view):
            cue = cues.get(clip.scene.actors[actor].category)
            if cue is None:
                continue
            mask = torch.from_numpy(view.owner == actor).float()
            cover = adaptive_avg_pool2d(mask[None], side)[0].flatten().numpy()
            active = [clip.is_active(actor, *seen) for seen in zip(middles_s, views, strict=True)]
            weights = {AUDIO: attention[0, at], CELLS: cover / cover.sum() @ attention[1:, at], AVERAGE: fixed[at]}
            samples.append(CueSample(number, cue == Cue.MEMORY, at, np.array(active), weights))
    return samples


def by_distance(samples: Sequence[CueSample], name: str) -> np.ndarray:
    """(2T - 1,) mean weight of the segments at distances -(T - 1) to T - 1 from that of the sample."""
    segments = len(samples[0].active)
    total, count = np.zeros(2 * segments - 1), np.zeros(2 * segments - 1)
    for sample in samples:
        first = segments - 1 - sample.segment
        total[first : first + segments] += sample.weights[name]
        count[first : first + segments] += 1
    return np.asarray(total / np.maximum(count, 1))


def expected(sample: CueSample, profile: np.ndarray) -> np.ndarray:
    """(T,) weights of a sample that depend on the distance alone.

    Args:
        sample: a sample.
        profile: from `by_distance`.
    """
    segments = len(sample.active)
    found = profile[segments - 1 - sample.segment :][:segments]
    return np.asarray(found / found.sum())


def share_table(samples: Sequence[CueSample]) -> Table:
    """Shares of the weights on active segments before the sample, for memory samples and all others.

    Args:
        samples: of all clips.
    """
    rows = []
    for name in samples[0].weights:
        profile = by_distance(samples, name)
        for is_memory, group in GROUPS.items():
            chosen = [each for each in samples if each.is_memory == is_memory and each.earlier.any()]
            clip = np.array([each.clip for each in chosen])
            found = [
                (
                    each.weights[name][each.earlier].sum(),
                    each.earlier.mean(),
                    expected(each, profile)[each.earlier].sum(),
                    each.weights[name][each.last].sum(),
                    expected(each, profile)[each.last].sum(),
                )
                for each in chosen
            ]
            rows.append([f"{name}, {group}", f"{len(chosen)} ({len(set(clip.tolist()))})", *_cells(found, clip)])
    return Table(
        title="Share of the weights over time on segments in which the source was seen and heard to move before, in %",
        header=[
            "weights",
            "samples (clips)",
            "share",
            "uniform",
            "more than uniform",
            "more than by distance",
            "on the last one",
            "there more than by distance",
        ],
        rows=rows,
        notes=[
            "Samples without such a segment are left out. In brackets: 95 % interval by clip.",
            f"uniform: the number of such segments / T; on the last one {100 / len(samples[0].active):.1f}.",
            "By distance: weights that depend on the distance in time alone, with the mean of all samples.",
        ],
    )


def _cells(found: Sequence[tuple[float, ...]], clip: np.ndarray) -> list[str]:
    """The cells of a row."""
    if not found:
        return [NOTHING] * 6
    share, uniform, distance, last, last_distance = np.array(found, np.float64).T
    figures = np.stack([share, uniform, share - uniform, share - distance, last, last - last_distance], 1)
    low, high = bootstrap_interval(figures, clip)
    cells = zip(figures.mean(0) * 100, low * 100, high * 100, strict=True)
    return [f"{value:z.1f} [{least:z.1f}, {most:z.1f}]" for value, least, most in cells]


def draw(samples: Sequence[CueSample], segment_s: float) -> str:
    """The mean weight by distance in time, as SVG.

    Args:
        samples: of all clips.
        segment_s: length of a segment in seconds.
    """
    segments = len(samples[0].active)
    panels: dict[str, Mapping[str, Mapping[float, Interval]]] = {}
    for name in (AUDIO, CELLS):
        lines = {
            group: _curve([each for each in samples if each.is_memory == is_memory], name, segment_s)
            for is_memory, group in GROUPS.items()
        }
        lines[AVERAGE] = _curve(samples, AVERAGE, segment_s)
        panels[f"weights of the {name}"] = {group: points for group, points in lines.items() if points}
    return interval_curves(
        panels, "time of the segment − that of the sample, s", {f"uniform, 1/{segments}": 1 / segments}
    )


def _curve(samples: Sequence[CueSample], name: str, segment_s: float) -> dict[float, Interval]:
    """Distance in seconds -> mean weight; distances at which there are few samples are left out."""
    points = {}
    reach = round(FARTHEST_S / segment_s)
    for distance in range(-reach, reach + 1):
        found = [(each.weights[name], each.segment + distance, each.clip) for each in samples]
        inside = [(weights[at], clip) for weights, at, clip in found if 0 <= at < len(weights)]
        if len({clip for _, clip in inside}) > 1:
            values, clips = np.array(inside).T
            low, high = bootstrap_interval(values[:, None], clips.astype(np.int64))[:, 0]
            points[distance * segment_s] = Interval(float(values.mean()), float(low), float(high))
    return points


if __name__ == "__main__":
    auto_cli(measure, as_positional=False)
