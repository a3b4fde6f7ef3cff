"""The samples of a data set that saved heatmaps are scored on."""

from collections.abc import Sequence
from typing import NamedTuple

from tavlo_pl.data.annotations import AnnotatedFrame, FrameSample
from tavlo_pl.data.clip import Clip
from tavlo_pl.metrics.protocols import Protocol


class ScoredSample(NamedTuple):
    """One sample to score.

    Attributes:
        index: index among all samples.
        number: index of the clip in the list of clips.
        clip: the clip.
        sample: frame and scenarios.
    """

    index: int  # type: ignore[assignment]  # shadows tuple.index, which is not used
    number: int
    clip: Clip
    sample: FrameSample

    @property
    def frame(self) -> AnnotatedFrame:
        """The annotated frame."""
        return self.sample.frame

    @property
    def name(self) -> str:
        """``<clip>/<frame>/<scenario>`` or ``<clip>/<frame>``; of still images ``<clip>/<image>``, or ``<clip>``."""
        clip, frame = self.clip.sample_id, self.frame.name
        if frame == clip:
            return clip
        return f"{clip}/{self.sample.name if frame.isdecimal() else frame}"

    @property
    def files(self) -> tuple[str, ...]:
        """Possible files of its map without suffix, the most specific first."""
        clip, frame = self.clip.sample_id, self.frame.name
        return self.name, f"{clip}/{frame}", *(() if frame.isdecimal() else (frame,)), clip


def samples_of(clips: Sequence[Clip], protocol: Protocol) -> list[ScoredSample]:
    """All samples, numbered in the order of clips, frames and scenarios."""
    found = [
        (number, clip, sample)
        for number, clip in enumerate(clips)
        for frame in clip.annotations
        for sample in frame.samples(protocol.samples, protocol.mixed_frames)
    ]
    return [ScoredSample(index, *sample) for index, sample in enumerate(found)]
