"""Proposes frames and instances of clips: in parallel, and an interrupted run resumes."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tavlo_pl.annotate.activity import Activity, active_regions
from tavlo_pl.annotate.detectors import Detector, make_detector
from tavlo_pl.annotate.frames import FrameInstance, FrameRecord, Provenance, with_mask
from tavlo_pl.annotate.project import LONGEST_CLIP_S, ClipProposals, Project, ProposedFrame
from tavlo_pl.annotate.segmenters import Prompt, Segmenter, make_segmenter
from tavlo_pl.annotate.sharpness import sharpest, sharpness
from tavlo_pl.annotate.taggers import WINDOW_S, Tagger, make_tagger
from tavlo_pl.data import media
from tavlo_pl.data.annotations import Instance
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.index import Index
from tavlo_pl.engine.base import Engine
from tavlo_pl.errors import ConfigError, MediaError
from tavlo_pl.io import hub
from tavlo_pl.io.atomic import atomic_path, write_text_atomic
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.io.remote import on_disk, staging
from tavlo_pl.predict.checkpoint import load_localizer, packaged_checkpoint
from tavlo_pl.predict.failures import as_media_error
from tavlo_pl.predict.localizer import Localizer
from tavlo_pl.predict.sources import Localization
from tavlo_pl.types import Scenario
from tavlo_pl.viz.overlay import map_at, upsample

CANDIDATES_PER_S = 12.5
"""Frames a second whose sharpness is measured."""

MEASURED_WIDTH = 640
"""Wider frames are scaled down to this width for the measurement of sharpness, which limits memory."""

READ_AHEAD_S = 10.0
"""Seconds of frames in memory at a time."""

TAGS = 5
PACKAGED = "packaged"
HEATMAP = "heatmap"
UNNAMED = "object"
"""Category of a proposal without a class, a tag and a label."""


@dataclass(frozen=True)
class ProposalOptions:
    """How proposals are made.

    Attributes:
        activity: when audio counts as active.
        frames_per_region: maximum number of frames of a region.
        apart_s: minimum distance of two frames of a clip in seconds.
        detector: name of the detector.
        detector_weights: its weights.
        min_score: lowest score of a detection.
        most_instances: maximum number of detections in a frame.
        segmenter: name of the segmenter that makes masks of the proposals.
        tagger: name of the audio tagger.
        tagger_weights: its weights.
        checkpoint: whose heatmaps are proposed, ``packaged`` for the packaged one; None for none.
        allow_import: packages that the checkpoint may import.
    """

    activity: Activity = field(default_factory=Activity)
    frames_per_region: int = 2
    apart_s: float = 1.0
    detector: str = "none"
    detector_weights: str = "none"
    min_score: float = 0.3
    most_instances: int = 20
    segmenter: str = "none"
    tagger: str = "none"
    tagger_weights: str = "none"
    checkpoint: str | None = None
    allow_import: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.frames_per_region < 1 or self.apart_s < 0 or self.most_instances < 1:
            raise ConfigError("--frames_per_region and --most_instances must be at least 1, --apart_s at least 0")


class Proposers(NamedTuple):
    """The models of a process."""

    detector: Detector
    segmenter: Segmenter | None
    tagger: Tagger
    localizer: Localizer | None


@cache
def load_proposers(options: ProposalOptions, device: str | None) -> Proposers:
    """Loads the models once in a process.

    Args:
        options: which models.
        device: of the checkpoint's model; None for a GPU if there is one.
    """
    localizer = None
    if options.checkpoint is not None:
        path = packaged_checkpoint() if options.checkpoint == PACKAGED else hub.local_path(options.checkpoint)
        localizer = load_localizer(path, device, options.allow_import)
    return Proposers(
        make_detector(options.detector, options.detector_weights, options.min_score, options.most_instances),
        make_segmenter(options.segmenter),
        make_tagger(options.tagger, options.tagger_weights),
        localizer,
    )


def propose_all(
    project: Project, index: Index, options: ProposalOptions, engine: Engine, remote: OutputFolder | None = None
) -> Iterator[tuple[str, str]]:
    """Writes the proposals of all clips of an index that have none.

    Args:
        project: where they are written.
        index: the clips.
        options: how proposals are made.
        engine: works on the clips; each of its processes loads the models.
        remote: the project in object storage, in place of `project`.

    Yields:
        The name of a finished clip, and the reason if it failed, in any order.

    Raises:
        ConfigError: clips are in compressed archives, or a model cannot be used.
        RunFailedError: a process died.
    """
    index.check_spec(1, 0.0)
    there = remote.sizes().keys() if remote is not None else ()
    missing = []
    for clip in index.clips():
        path = project.proposals_path(clip.sample_id)
        if path.is_file() if remote is None else path.relative_to(project.folder).as_posix() in there:
            yield clip.sample_id, ""
        else:
            missing.append(clip)
    target = project if remote is None else remote
    propose_one = partial(propose_clip, target, options, engine.task_device)
    yield from engine.map(propose_one, missing, in_order=False, begin=use_one_thread)


def use_one_thread() -> None:
    """Limits torch to one thread in a process beside others."""
    torch.set_num_threads(1)


def propose_clip(
    project: Project | OutputFolder, options: ProposalOptions, device: Callable[[], str | None], clip: Clip
) -> tuple[str, str]:
    """Writes the proposals of one clip.

    Args:
        project: the files of the project; a folder in object storage gets them when all of the clip are complete.
        options: how proposals are made.
        device: returns the device of the checkpoint's model, None for a GPU if there is one.
        clip: the clip.

    Returns:
        Its name, and the reason if it cannot be read.
    """
    if isinstance(project, OutputFolder):
        with staging(project.root) as folder:
            own = Project(folder)
            name, reason = propose_clip(own, options, device, clip)
            if not reason:
                project.put_all(folder, last=[own.proposals_path(name).relative_to(folder).as_posix()])
            return name, reason.replace(str(own.video(name)), clip.where)
    try:
        _link_video(project.video(clip.sample_id), clip)
        models = load_proposers(options, device())
        with as_media_error(project.video(clip.sample_id)):
            found = _proposals(project, clip, options, models)
    except MediaError as error:
        return clip.sample_id, str(error)
    path = project.proposals_path(clip.sample_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text_atomic(path, json.dumps(found.to_json()) + "\n")
    return clip.sample_id, ""


def _link_video(path: Path, clip: Clip) -> None:
    """Makes the video available under AVATAR's name: a link, or a copy of a video in an archive or at an address."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = clip.file
    if isinstance(file, media.MemoryFile):
        with atomic_path(path) as part:
            part.write_bytes(file.content)
        return
    if isinstance(file, media.RemoteFile):
        with on_disk(file) as local, atomic_path(path) as part:
            shutil.copyfile(local, part)
        return
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    os.symlink(Path(file).absolute(), part)
    part.replace(path)


def _proposals(project: Project, clip: Clip, options: ProposalOptions, models: Proposers) -> ClipProposals:
    path = project.video(clip.sample_id)
    info = media.probe(path)
    if info.duration_s > LONGEST_CLIP_S:
        raise MediaError(f"{path}: longer than {LONGEST_CLIP_S:,.0f} s; cut it into clips")
    waveform = media.read_waveform(path, 0.0, info.duration_s)
    regions = active_regions(waveform, options.activity)
    times_s = media.frame_times(path)
    located = models.localizer.localize(path) if models.localizer is not None and regions else None
    chosen: dict[int, tuple[int, float, NDArray[np.uint8]]] = {}
    for region, span in enumerate(regions):
        taken_s = [float(times_s[number]) for number in chosen]
        chosen |= {
            number: (region, sharp, image)
            for number, sharp, image in _sharpest_frames(path, info, times_s, span, taken_s, options)
        }
    frames = []
    for number, (region, sharp, image) in sorted(chosen.items()):
        time_s = float(times_s[number])
        record = FrameRecord(number, time_s, image.shape[1], image.shape[0])
        first = max(0, round((time_s - WINDOW_S / 2) * media.SAMPLE_RATE_HZ))
        tags = models.tagger.tag(waveform[first : first + round(WINDOW_S * media.SAMPLE_RATE_HZ)], TAGS)
        heatmap = None if located is None else map_at(located.heatmap, located.time_s, time_s)
        category = tags[0][0] if tags else clip.category or UNNAMED
        prompted = [(each, Prompt(box=each.instance.bbox)) for each in models.detector.detect(image)]
        if heatmap is not None and located is not None:
            prompted += _of_heatmap(heatmap, located, image.shape[:2], category)
        instances = [replace(_segmented(models.segmenter, image, *each), span_s=regions[region]) for each in prompted]
        rows = None if heatmap is None else tuple(tuple(np.round(row, 3).tolist()) for row in heatmap.astype(float))
        frames.append(ProposedFrame(replace(record, instances=tuple(instances)), region, sharp, tuple(tags), rows))
        file = project.image(clip.sample_id, record.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file, "jpeg", quality=92)
    return ClipProposals(clip.sample_id, info.duration_s, clip.category, tuple(regions), tuple(frames))


def _sharpest_frames(
    path: Path,
    info: media.MediaInfo,
    times_s: NDArray[np.float64],
    span: tuple[float, float],
    taken_s: Sequence[float],
    options: ProposalOptions,
) -> list[tuple[int, float, NDArray[np.uint8]]]:
    """Number, sharpness and full image of the sharpest frames of a region, away from the times of taken ones."""
    numbers = _candidates(times_s, span)
    free = [n for n in numbers if all(abs(times_s[n] - other) >= options.apart_s for other in taken_s)]
    if not free:
        return []
    scale = min(1.0, MEASURED_WIDTH / info.width)
    size = None if scale == 1 else (max(3, round(info.height * scale)), MEASURED_WIDTH)
    per_read = max(1, round(READ_AHEAD_S * CANDIDATES_PER_S))
    values: list[float] = []
    images: dict[int, NDArray[np.uint8]] = {}
    for start in range(0, len(free), per_read):
        some = free[start : start + per_read]
        frames = media.read_clip(path, times_s[some], size, 0.0, 0.0).frames
        values += sharpness(frames).tolist()
        kept = sharpest(values, times_s[free[: len(values)]].tolist(), options.frames_per_region, options.apart_s)
        images |= dict(zip(some, frames, strict=True))
        images = {free[n]: images[free[n]] for n in kept}
    best = sorted(images)
    if size is not None:
        images = dict(zip(best, media.read_clip(path, times_s[best], None, 0.0, 0.0).frames, strict=True))
    return [(number, values[free.index(number)], images[number].copy()) for number in best]


def _candidates(times_s: NDArray[np.float64], span: tuple[float, float]) -> list[int]:
    """Frames of a span at most every 1 / `CANDIDATES_PER_S` seconds; the one shown at its start if it has none."""
    inside = np.flatnonzero((times_s >= span[0]) & (times_s < span[1])).tolist()
    if not inside:
        return [max(0, int(np.searchsorted(times_s, span[0], side="right")) - 1)]
    kept = [inside[0]]
    for number in inside[1:]:
        if times_s[number] - times_s[kept[-1]] >= 1 / CANDIDATES_PER_S - 1e-6:
            kept.append(number)
    return kept


def _of_heatmap(
    heatmap: NDArray[np.float32], located: Localization, size: tuple[int, int], category: str
) -> list[tuple[FrameInstance, Prompt]]:
    """The region of a heatmap that reaches the checkpoint's threshold, if there is one, and a click on its peak."""
    scores = upsample(heatmap, size)
    if located.threshold is None or not (mask := scores >= located.threshold).any():
        return []
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    instance = with_mask(Instance(category, Scenario.SINGLE_SOUND), mask)
    peak = Prompt(((float(column) + 0.5, float(row) + 0.5, True),))
    return [(FrameInstance("h0", instance, "proposed", Provenance(HEATMAP)), peak)]


def _segmented(
    segmenter: Segmenter | None, image: NDArray[np.uint8], each: FrameInstance, prompt: Prompt
) -> FrameInstance:
    """A proposal with the segmenter's mask, if it finds one."""
    found = segmenter.segment(image, prompt) if segmenter is not None else None
    if segmenter is None or found is None:
        return each
    provenance = replace(each.provenance, by=f"{each.provenance.by}+{segmenter.name}")
    return replace(each, instance=with_mask(each.instance, found[0]), provenance=provenance)
