"""Clips as tensors: which frames are shown, which sound goes with them, which masks are the truth."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from tavlo_pl.data import media, segments
from tavlo_pl.data.annotations import AnnotatedFrame
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.transforms import NOTHING, Augment
from tavlo_pl.errors import AnnotationError, MediaError
from tavlo_pl.types import BadClip, Batch, Scenario, Targets

Stage = Literal["train", "val", "test"]


@dataclass(frozen=True)
class AnnotatedSample:
    """One (frame, scenario) to be scored.

    Attributes:
        index: unique over the dataset.
        segment: the segment whose frame is the annotated one.
        frame: the annotation.
        scenario: which of its scenarios.
    """

    index: int
    segment: int
    frame: AnnotatedFrame
    scenario: Scenario


@dataclass(frozen=True)
class Entry:
    """One showing of a clip: an item of the dataset.

    Attributes:
        clip: the clip.
        number: position of the clip in the list, the same in all its showings.
        times_s: presentation time of the annotated frame to show, by segment; elsewhere the centre is shown.
        samples: what is scored in this showing.
        reason: why the clip cannot be used, if that is known already.
    """

    clip: Clip
    number: int
    times_s: dict[int, float] = field(default_factory=dict)
    samples: tuple[AnnotatedSample, ...] = ()
    reason: str | None = None


class ShownOnce(Sequence[Entry]):
    """An entry for each clip, made when it is asked for: a list of 200,000 is more than a worker's share of memory.

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

    Training shows one random moment of each segment, drawn from (seed, epoch, index) alone, so that neither
    the number of workers nor an interruption changes a draw. Evaluation shows the centre of each segment, or
    the annotated frame where there is one; a clip with two annotated frames in one segment is shown twice.

    A clip that cannot be read never raises here, where a worker process would wrap the error: the item
    carries a ``BadClip``. In training another clip, drawn from (seed, epoch, index), takes its place;
    otherwise the item is blank.

    Args:
        clips: what to show, in order.
        stage: ``test`` adds the sound of another clip.
        segments: T.
        duration_s: length of a span in seconds.
        image_size: height and width of the frames in pixels; the picture is squashed to a square.
        mask_size: height and width of the ground truth in pixels.
        flip: in training, mirror half of the clips.
        augment: in training, what else is changed.
        tries: in training, try so many clips for an item at most; None tries all.
        seed: of all draws.

    Raises:
        AnnotationError: an annotated frame that the clip does not have, or that lies outside the span.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        stage: Stage,
        segments: int = 10,
        duration_s: float = 10.0,
        image_size: int = 224,
        mask_size: int = 224,
        flip: bool = False,
        augment: Augment = NOTHING,
        tries: int | None = None,
        seed: int = 0,
    ) -> None:
        self.clips = clips
        self.stage = stage
        self.segments = segments
        self.duration_s = duration_s
        self.image_size = image_size
        self.mask_size = mask_size
        self.flip = flip
        self.augment = augment
        self.tries = tries
        self.seed = seed
        evaluates = stage in ("val", "test")
        self.entries: Sequence[Entry] = list(self._plan()) if evaluates else ShownOnce(clips)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, key: int | tuple[int, int]) -> Item:
        """The item at an index; in training at an (epoch, index), so that workers need not know the epoch."""
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
                samples = _samples(((frame, 0) for frame in clip.annotations), first)
                yield Entry(clip, number, samples=samples, reason=str(error))
                first += len(samples)
                continue
            shown = [self._place(clip, frame, times_s) for frame in clip.annotations]
            for chosen in segments.plan_passes([segment for segment, _ in shown]):
                samples = _samples(((clip.annotations[at], segment) for segment, at in sorted(chosen.items())), first)
                yield Entry(clip, number, {segment: shown[at][1] for segment, at in chosen.items()}, samples)
                first += len(samples)

    def _place(self, clip: Clip, frame: AnnotatedFrame, times_s: NDArray[np.float64]) -> tuple[int, float]:
        """Segment and presentation time of an annotated frame."""
        where = f"{clip.path}: annotated frame {frame.name}"
        number = len(times_s) // 2 if frame.number is None else frame.number
        if number >= len(times_s):
            raise AnnotationError(
                f"{where} is number {number} from 0, but the video has {len(times_s)} frames; "
                f"check frame_base and that video and annotations belong together."
            )
        time_s = float(times_s[number])
        segment = segments.segment_of(time_s - clip.start_s, self.segments, self.duration_s)
        if segment is None:
            raise AnnotationError(
                f"{where} is shown at {time_s:.3f} s, outside the span of {self.duration_s:g} s from "
                f"{clip.start_s:g} s; set duration_s to the clips' length."
            )
        return segment, time_s

    def _training_item(self, epoch: int, index: int) -> Item:
        bad: list[BadClip] = []
        for candidate in islice(self._candidates(epoch, index), self.tries):
            rng = np.random.default_rng((self.seed, epoch, candidate))
            offsets = segments.draw(self.segments, self.duration_s, rng)
            clip = self.entries[candidate].clip
            try:
                item = self._read(candidate, clip, clip.start_s + offsets, self.augment.read_size(self.image_size))
            except MediaError as error:
                bad.append(self._bad(candidate, str(error)))
                continue
            if self.flip and rng.random() < 0.5:
                item.frames = item.frames.flip(-1)
            if self.augment != NOTHING:
                changes = np.random.default_rng((self.seed, epoch, candidate, 2))
                item.frames = self.augment.pictures(item.frames, self.image_size, changes)
                item.waveform = self.augment.sound(item.waveform, changes)
            item.bad_clips = bad
            return item
        blank = self._blank(index, bad[0].reason)
        blank.bad_clips = bad
        return blank

    def _candidates(self, epoch: int, index: int) -> Iterator[int]:
        """The clip itself, then every other one in an order of its own."""
        yield index
        for other in np.random.default_rng((self.seed, epoch, index, 1)).permutation(len(self)):
            if other != index:
                yield int(other)

    def _evaluation_item(self, index: int) -> Item:
        entry = self.entries[index]
        if entry.reason is not None:
            return self._blank(index, entry.reason)
        times_s = entry.clip.start_s + segments.centres(self.segments, self.duration_s)
        for segment, time_s in entry.times_s.items():
            times_s[segment] = time_s
        item = self._read(index, entry.clip, times_s, self.image_size)
        item.targets = self._targets(entry)
        if self.stage == "test":
            item.mismatched_waveform = self._mismatched_audio(entry.number)
        return item

    def _read(self, index: int, clip: Clip, times_s: NDArray[np.float64], size: int) -> Item:
        decoded = clip.read(times_s.tolist(), (size, size), self.duration_s)
        clip.check_video_length(decoded.frame_time_s, self.segments, self.duration_s)
        return Item(
            frames=torch.from_numpy(decoded.frames).permute(0, 3, 1, 2),
            waveform=torch.from_numpy(decoded.waveform),
            frame_time=torch.from_numpy(decoded.frame_time_s),
            index=index,
            clip=clip,
        )

    def _targets(self, entry: Entry) -> Targets:
        samples = entry.samples
        masks = [sample.frame.mask(sample.scenario, (self.mask_size, self.mask_size)) for sample in samples]
        stacked = np.stack(masks) if masks else np.zeros((0, self.mask_size, self.mask_size), bool)
        name = entry.clip.sample_id
        return Targets(
            mask=torch.from_numpy(stacked),
            row=torch.zeros(len(samples), dtype=torch.int64),
            segment=torch.tensor([sample.segment for sample in samples], dtype=torch.int64),
            index=torch.tensor([sample.index for sample in samples], dtype=torch.int64),
            clip=torch.full((len(samples),), entry.number, dtype=torch.int64),
            scenario=torch.tensor([sample.scenario.id for sample in samples], dtype=torch.int64),
            cross_event=torch.full((len(samples),), entry.clip.cross_event),
            time_s=torch.tensor([entry.times_s[sample.segment] for sample in samples], dtype=torch.float64),
            sources=torch.tensor([sample.frame.sources(sample.scenario) for sample in samples], dtype=torch.int64),
            sample_id=[f"{name}/{sample.frame.name}/{sample.scenario}" for sample in samples],
            category=["+".join(sample.frame.categories(sample.scenario)) for sample in samples],
        )

    def _mismatched_audio(self, number: int) -> Tensor:
        """The sound of the clip half the list away, or of the next one that can be read; else silence.

        An unreadable clip is reported at its own turn, not here.
        """
        count = len(self.clips)
        for step in range(count):
            other = (number + count // 2 + step) % count
            if other != number or count == 1:
                try:
                    return torch.from_numpy(self.clips[other].read_waveform(self.duration_s))
                except MediaError:
                    continue
        return self._silence()

    def _silence(self) -> Tensor:
        return torch.zeros(round(self.duration_s * media.SAMPLE_RATE_HZ))

    def _bad(self, index: int, reason: str) -> BadClip:
        entry = self.entries[index]
        return BadClip(index, entry.clip.sample_id, reason, len(entry.samples))

    def _blank(self, index: int, reason: str) -> Item:
        clip = self.entries[index].clip
        centres = torch.from_numpy(segments.centres(self.segments, self.duration_s))
        return Item(
            frames=torch.zeros(self.segments, 3, self.image_size, self.image_size, dtype=torch.uint8),
            waveform=self._silence(),
            frame_time=clip.start_s + centres,
            index=index,
            clip=clip,
            targets=self._targets(Entry(clip, 0)) if self.stage != "train" else None,
            mismatched_waveform=self._silence() if self.stage == "test" else None,
            bad_clips=[self._bad(index, reason)],
        )


def _samples(frames: Iterable[tuple[AnnotatedFrame, int]], first: int) -> tuple[AnnotatedSample, ...]:
    """The samples of (frame, segment) pairs, numbered from ``first``."""
    scored = [(segment, frame, scenario) for frame, segment in frames for scenario in frame.scenarios]
    return tuple(AnnotatedSample(first + position, *rest) for position, rest in enumerate(scored))


def collate(items: Sequence[Item]) -> Batch:
    """Stacks items; ``targets`` and ``mismatched_waveform`` only where the stage has them."""
    batch = Batch(
        # colours side by side in memory as they were decoded; the model's device sets them apart, where it costs less
        frames=torch.stack([item.frames.permute(0, 2, 3, 1) for item in items]).permute(0, 1, 4, 2, 3),
        waveform=torch.stack([item.waveform for item in items]),
        frame_time=torch.stack([item.frame_time for item in items]),
        index=torch.tensor([item.index for item in items]),
        sample_id=[item.clip.sample_id for item in items],
        path=[str(item.clip.path) for item in items],
        bad_clips=[bad for item in items for bad in item.bad_clips],
    )
    targets = [item.targets for item in items if item.targets is not None]
    if targets:
        batch["targets"] = _join(targets)
    mismatched = [item.mismatched_waveform for item in items if item.mismatched_waveform is not None]
    if mismatched:
        batch["mismatched_waveform"] = torch.stack(mismatched)
    return batch


def _join(targets: Sequence[Targets]) -> Targets:
    """One ``Targets`` for a batch: row n is the n-th item."""
    counts = torch.tensor([len(part.index) for part in targets])
    return Targets(
        mask=torch.cat([part.mask for part in targets]),
        row=torch.repeat_interleave(torch.arange(len(targets)), counts),
        segment=torch.cat([part.segment for part in targets]),
        index=torch.cat([part.index for part in targets]),
        clip=torch.cat([part.clip for part in targets]),
        scenario=torch.cat([part.scenario for part in targets]),
        cross_event=torch.cat([part.cross_event for part in targets]),
        time_s=torch.cat([part.time_s for part in targets]),
        sources=torch.cat([part.sources for part in targets]),
        sample_id=[name for part in targets for name in part.sample_id],
        category=[name for part in targets for name in part.category],
    )
