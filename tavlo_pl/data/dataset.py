"""Clips as tensors: the frames of each segment, the audio, and the target masks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from tavlo_pl.data import segments
from tavlo_pl.data.annotations import AnnotatedFrame, FrameSample
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.clip_spec import DEFAULT_CLIP, ClipSpec
from tavlo_pl.data.mismatched import mismatched_order
from tavlo_pl.data.transforms import NO_AUGMENT, Augment
from tavlo_pl.errors import AnnotationError, MediaError
from tavlo_pl.metrics.functional.in_time import Blend, blend_in_time
from tavlo_pl.metrics.protocols import AVATAR_PER_FRAME, Protocol
from tavlo_pl.types import SCENARIOS, BadClip, Stage, Targets


@dataclass(frozen=True)
class AnnotatedSample:
    """A sample of a clip.

    Attributes:
        index: unique over the dataset.
        segment: the segment that the annotated frame is in.
        time_s: presentation time of the annotated frame on the file's clock.
        sample: frame and scenarios.
    """

    index: int
    segment: int
    time_s: float
    sample: FrameSample


@dataclass(frozen=True)
class Entry:
    """One pass over a clip: an item of the dataset.

    Attributes:
        clip: the clip.
        number: position of the clip in the list, the same in all its passes.
        times_s: presentation time of the annotated frame that a segment shows; other segments show their centre.
        samples: the samples that are scored in this pass.
        reason: why the clip cannot be read, if that is known already.
    """

    clip: Clip
    number: int
    times_s: dict[int, float] = field(default_factory=dict)
    samples: tuple[AnnotatedSample, ...] = ()
    reason: str | None = None


class LazyEntries(Sequence[Entry]):
    """One entry per clip, made on access: a list of 200,000 entries takes too much memory in each worker.

    Args:
        clips: the clips.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, position: int) -> Entry:  # type: ignore[override]  # nobody slices it
        """The entry of one clip."""
        return Entry(self.clips[position], position)


@dataclass
class Item:
    """One row of a batch before collation; see the table of shapes in ``tavlo_pl.types``."""

    frames: Tensor
    waveform: Tensor
    frame_time: Tensor
    index: int
    clip: Clip
    targets: Targets | None = None
    mismatched_waveform: Tensor | None = None
    bad_clips: list[BadClip] = field(default_factory=list)


class ClipDataset(Dataset[Item]):
    """Clips of one stage.

    Training shows one random moment of each segment (or its centre: ``Augment.random_moment``), drawn from (seed,
    epoch, index) only, so that neither the number of workers or processes nor an interruption changes a draw.
    Evaluation shows the centre of each segment, and the map of an annotated frame is interpolated in time; or, by a
    protocol with the nearest map, it shows the annotated frame in its segment, and a clip with two annotated frames in
    one segment has two passes.

    A clip that cannot be read does not raise an error here, because a worker process would wrap it: the item carries a
    ``BadClip``. In training it is replaced by another clip, drawn from (seed, epoch, index); otherwise the item is
    blank.

    Args:
        clips: the clips, in order.
        stage: ``test`` adds the audio of another clip.
        spec: the clip format. Frames are scaled to a square whatever their aspect ratio.
        augment: the transforms of training clips.
        max_tries: number of clips that are tried for one training item; None for all.
        seed: of all draws.
        protocol: decides the samples of annotated frames and the size of their masks.
        clip_segments: segments of a whole clip, if a training item is a random part of a clip with the
            ``spec.segments`` segments of ``spec``; None for whole clips.

    Raises:
        AnnotationError: an annotated frame does not exist in the video or lies outside the clip.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        stage: Stage,
        spec: ClipSpec = DEFAULT_CLIP,
        augment: Augment = NO_AUGMENT,
        max_tries: int | None = None,
        seed: int = 0,
        protocol: Protocol = AVATAR_PER_FRAME,
        clip_segments: int | None = None,
    ) -> None:
        self.clips = clips
        self.stage = stage
        self.spec = spec
        self.augment = augment
        self.max_tries = max_tries
        self.seed = seed
        self.protocol = protocol
        self.clip_segments = clip_segments or spec.segments
        evaluates = stage in ("val", "test")
        self.entries: Sequence[Entry] = list(self._plan()) if evaluates else LazyEntries(clips)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        """The item at an index; in training at an (epoch, index), so that workers need no state of the epoch."""
        epoch, index = (0, key) if isinstance(key, int) else key
        if self.stage == "train":
            return self._training_item(epoch, index)
        try:
            return self._evaluation_item(index)
        except MediaError as error:
            return self._blank(index, str(error))

    def _plan(self) -> Iterator[Entry]:
        first = 0
        for number, clip in enumerate(self.clips):
            if not clip.annotations:
                yield Entry(clip, number)
                continue
            try:
                times_s = clip.frame_times()
            except MediaError as error:
                samples = self._samples([(frame, 0, clip.start_s) for frame in clip.annotations], first)
                yield Entry(clip, number, samples=samples, reason=str(error))
                first += len(samples)
                continue
            placed = [(frame, *self._place(clip, frame, times_s)) for frame in clip.annotations]
            if self.protocol.time == "linear":
                samples = self._samples(placed, first)
                yield Entry(clip, number, samples=samples)
                first += len(samples)
                continue
            for chosen in segments.plan_passes([segment for _, segment, _ in placed]):
                samples = self._samples([placed[at] for _, at in sorted(chosen.items())], first)
                yield Entry(clip, number, {segment: placed[at][2] for segment, at in chosen.items()}, samples)
                first += len(samples)

    def _samples(self, placed: Sequence[tuple[AnnotatedFrame, int, float]], first: int) -> tuple[AnnotatedSample, ...]:
        """The samples of annotated frames with their segments and times, numbered from `first`."""
        unit, mixed = self.protocol.samples, self.protocol.mixed_frames
        found = [
            (segment, time_s, sample) for frame, segment, time_s in placed for sample in frame.samples(unit, mixed)
        ]
        return tuple(AnnotatedSample(first + position, *rest) for position, rest in enumerate(found))

    def _place(self, clip: Clip, frame: AnnotatedFrame, times_s: NDArray[np.float64]) -> tuple[int, float]:
        """Segment and presentation time of an annotated frame."""
        where = f"{clip.path}: annotated frame {frame.name}"
        number = len(times_s) // 2 if frame.number is None else frame.number
        if number >= len(times_s):
            raise AnnotationError(
                f"{where} is number {number} from 0, but the video has {len(times_s)} frames; "
                f"check frame_base, and whether the annotations belong to this video."
            )
        time_s = float(times_s[number])
        segment = segments.segment_of(time_s - clip.start_s, self.spec.segments, self.spec.duration_s)
        if segment is None:
            raise AnnotationError(
                f"{where} is shown at {time_s:.3f} s, outside the span of {self.spec.duration_s:g} s from "
                f"{clip.start_s:g} s; set data.clip.duration_s to the length of the clips."
            )
        return segment, time_s

    def _training_item(self, epoch: int, index: int) -> Item:
        bad: list[BadClip] = []
        spec = self.training_spec(self.entries[index].clip.training_segments)
        for candidate in islice(self._candidates(epoch, index), self.max_tries):
            rng = np.random.default_rng((self.seed, epoch, candidate))
            if self.augment.random_moment:
                offsets = segments.draw(spec.segments, spec.duration_s, rng)
            else:
                offsets = segments.centres(spec.segments, spec.duration_s)
            clip = self._part(epoch, candidate, spec).drawn(np.random.default_rng((self.seed, epoch, candidate, 5)))
            size = self.augment.read_size(spec.image_size)
            try:
                item = self._read(candidate, clip, clip.start_s + offsets, size, spec)
            except MediaError as error:
                bad.append(self._bad(candidate, str(error)))
                continue
            if self.augment.flip and rng.random() < 0.5:
                item.frames = item.frames.flip(-1)
            transform_rng = np.random.default_rng((self.seed, epoch, candidate, 2))
            item.frames = self.augment.transform_frames(item.frames, spec.image_size, transform_rng)
            item.waveform = self.augment.transform_audio(item.waveform, transform_rng)
            item.bad_clips = bad
            return item
        blank = self._blank(index, bad[0].reason, spec)
        blank.bad_clips = bad
        return blank

    def training_spec(self, parts: int | None) -> ClipSpec:
        """The format of a training item.

        Args:
            parts: `Clip.training_segments`.
        """
        if parts is None:
            return self.spec
        return replace(self.spec, segments=parts, duration_s=self.spec.duration_s * parts / self.spec.segments)

    def _part(self, epoch: int, index: int, spec: ClipSpec) -> Clip:
        """A clip, or the part of it that a training item shows."""
        clip = self.entries[index].clip
        if self.clip_segments == spec.segments:
            return clip
        rng = np.random.default_rng((self.seed, epoch, index, 4))
        first = int(rng.integers(self.clip_segments - spec.segments + 1))
        return clip.part(first * spec.duration_s / spec.segments)

    def _candidates(self, epoch: int, index: int) -> Iterator[int]:
        """The clip itself, then all others with as many segments in random order."""
        yield index
        parts = self.entries[index].clip.training_segments
        for other in np.random.default_rng((self.seed, epoch, index, 1)).permutation(len(self)):
            if other != index and self.entries[other].clip.training_segments == parts:
                yield int(other)

    def _evaluation_item(self, index: int) -> Item:
        entry = self.entries[index]
        if entry.reason is not None:
            return self._blank(index, entry.reason)
        times_s = self._centres(entry.clip)
        for segment, time_s in entry.times_s.items():
            times_s[segment] = time_s
        item = self._read(index, entry.clip, times_s, self.spec.image_size, self.spec)
        item.targets = self._targets(entry)
        if self.stage == "test":
            item.mismatched_waveform = self._mismatched_audio(entry.number)
        return item

    def _read(self, index: int, clip: Clip, times_s: NDArray[np.float64], size: int, spec: ClipSpec) -> Item:
        decoded = clip.read(times_s.tolist(), (size, size), spec.duration_s)
        clip.check_video_length(decoded.frame_time_s, spec.segments, spec.duration_s)
        return Item(
            frames=torch.from_numpy(decoded.frames).permute(0, 3, 1, 2),
            waveform=torch.from_numpy(decoded.waveform),
            frame_time=torch.from_numpy(decoded.frame_time_s),
            index=index,
            clip=clip,
        )

    def _targets(self, entry: Entry) -> Targets:
        placed, samples = entry.samples, [each.sample for each in entry.samples]
        masks = [sample.mask(self.protocol.size) for sample in samples]
        time_s = np.array([each.time_s for each in placed], np.float64)
        segment = np.array([each.segment for each in placed], np.int64)
        blend = Blend(segment, segment, np.zeros(len(placed), np.float32))
        if self.protocol.time == "linear":
            blend = blend_in_time(self._centres(entry.clip), time_s)
        return Targets(
            mask=torch.from_numpy(np.stack(masks) if masks else np.zeros((0, *self.protocol.size), bool)),
            row=torch.zeros(len(placed), dtype=torch.int64),
            segment=torch.from_numpy(blend.first),
            next_segment=torch.from_numpy(blend.second),
            blend=torch.from_numpy(blend.weight),
            index=torch.tensor([each.index for each in placed], dtype=torch.int64),
            clip=torch.full((len(placed),), entry.number, dtype=torch.int64),
            scenarios=torch.tensor([sample.flags for sample in samples], dtype=torch.bool).reshape(-1, len(SCENARIOS)),
            cross_event=torch.full((len(placed),), entry.clip.cross_event),
            time_s=torch.from_numpy(time_s),
            sources=torch.tensor([len(sample.instances) for sample in samples], dtype=torch.int64),
            sample_id=[f"{entry.clip.sample_id}/{sample.name}" for sample in samples],
            category=[sample.category for sample in samples],
            cue=[sample.cue for sample in samples],
        )

    def _mismatched_audio(self, number: int) -> Tensor:
        """(L,) audio of the first other clip that can be read, in ``mismatched_order``; silence if there is none.

        A clip that cannot be read is reported as an item of its own, not here.
        """
        for other in mismatched_order(number, len(self.clips)):
            try:
                return torch.from_numpy(self.clips[other].read_waveform(self.spec.duration_s))
            except MediaError:
                continue
        return self._silence()

    def _centres(self, clip: Clip, spec: ClipSpec | None = None) -> NDArray[np.float64]:
        """(T,) the centres of the segments, on the clock of the clip's file."""
        spec = spec or self.spec
        return clip.start_s + segments.centres(spec.segments, spec.duration_s)

    def _silence(self) -> Tensor:
        return torch.zeros(self.spec.samples)

    def _bad(self, index: int, reason: str) -> BadClip:
        entry = self.entries[index]
        return BadClip(index, entry.clip.sample_id, reason, len(entry.samples))

    def _blank(self, index: int, reason: str, spec: ClipSpec | None = None) -> Item:
        clip, spec = self.entries[index].clip, spec or self.spec
        return Item(
            frames=torch.zeros(spec.segments, 3, spec.image_size, spec.image_size, dtype=torch.uint8),
            waveform=torch.zeros(spec.samples),
            frame_time=torch.from_numpy(self._centres(clip, spec)),
            index=index,
            clip=clip,
            targets=self._targets(Entry(clip, 0)) if self.stage != "train" else None,
            mismatched_waveform=self._silence() if self.stage == "test" else None,
            bad_clips=[self._bad(index, reason)],
        )
