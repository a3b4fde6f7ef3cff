"""The contract between data, models, metrics and callbacks, with its table of shapes.

=======================  =====================  ===========================================================
name                     shape, type            meaning
=======================  =====================  ===========================================================
``frames``               (B, T, 3, H, W) uint8  one RGB frame a segment, 0..255, not normalised
``waveform``             (B, L) float32         mono, 16 kHz, on the clip's clock: sample n is time n/16000 s
``spectrogram``          (B, 1, F, W) float32   log-mel, (dB + 60) / 20; segment t owns columns [tW/T, (t+1)W/T)
``frame_time``           (B, T) float64         presentation time of the frame, seconds on its file's clock
``index``                (B,) int64             position in the dataset, the same on every process
``sample_id``            B strings              ``<clip>``, the key of everything written for the clip
``targets``              ``Targets``            ground truth of N annotated samples
``mismatched_waveform``     (B, L) float32         the audio of another clip of the test list (test only)
``mismatched_spectrogram``  (B, 1, F, W) float32   the same, as a spectrogram (test only)
``silence_spectrogram``  (B, 1, F, W) float32   of silence (test only)
``noise_spectrogram``    (B, 1, F, W) float32   of white noise, at the level of the clip's audio (test only)
``bad_clips``            list of ``BadClip``    clips of this batch that could not be read
``heatmap``              (B, T, h, w) float32   raw score of each cell at each segment, in [-1, 1]
=======================  =====================  ===========================================================

B clips, T segments a clip, H x W pixels, h x w cells, F mel bands, W spectrogram columns (a whole multiple
of T), L samples, N annotated samples in the batch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple, NotRequired, TypedDict

if TYPE_CHECKING:  # commands without a network import the scenarios from here, and torch takes seconds to import
    from torch import Tensor

MEAN_DB, SPREAD_DB = -60.0, 20.0
"""A value of the spectrogram is (dB - MEAN_DB) / SPREAD_DB. The constants do not depend on the clip, so that its level
is preserved."""

FLOOR_DB = -100.0
"""Lowest level; below the quantization noise of 16 bits, so that only digital silence has it."""

SILENCE = (FLOOR_DB - MEAN_DB) / SPREAD_DB
"""Its value in the spectrogram: -2."""


Stage = Literal["train", "val", "test"]
"""Use of a list of clips."""


class Scenario(StrEnum):
    """The scenarios of AVATAR (arXiv 2507.04667, section 3); the value is the name in tables and log keys."""

    SINGLE_SOUND = "single_sound"
    MIXED_SOUND = "mixed_sound"
    MULTI_ENTITY = "multi_entity"
    OFF_SCREEN = "off_screen"

    @property
    def id(self) -> int:
        """Position in the enumeration, the column of ``Targets.scenarios``."""
        return SCENARIOS.index(self)


SCENARIOS: tuple[Scenario, ...] = tuple(Scenario)


class Cue(StrEnum):
    """What identifies the sounding source of a frame of the procedural world (`data/synthetic/annotate.py`)."""

    APPEARANCE = "appearance"
    SYNCHRONY = "synchrony"
    MEMORY = "memory"


CUES: tuple[Cue, ...] = tuple(Cue)


TASKS: dict[Scenario, str] = {
    Scenario.SINGLE_SOUND: "Single-Sound",
    Scenario.MIXED_SOUND: "Mixed-Sound",
    Scenario.MULTI_ENTITY: "Multi-Entity",
    Scenario.OFF_SCREEN: "Off-Screen",
}
"""The names that AVATAR's evaluator accepts as ``task`` of an annotation, in exactly this spelling."""


class Targets(NamedTuple):
    """Ground truth of the N annotated samples of a batch.

    A sample is an annotated frame, or one of its scenarios, as the protocol has it (``metrics/protocols.py``). Its map
    is ``(1 - blend) * maps[row, segment] + blend * maps[row, next_segment]``.

    Attributes:
        mask: (N, H, W) bool, pixels of the sounding sources; empty where the source is off-screen. Or float32
            weights 0, 0.5 and 1 where annotators may disagree (Flickr-SoundNet).
        row: (N,) int64, the row of the batch the sample belongs to.
        segment: (N,) int64, the segment whose frame is the annotated one, or the last one that is not after it.
        next_segment: (N,) int64, the first one after it; equal to `segment` where only one map is used.
        blend: (N,) float32 in 0..1, weight of the map of `next_segment`.
        index: (N,) int64, unique over the dataset and the same on every process.
        clip: (N,) int64, one number a video, for intervals by video.
        scenarios: (N, 4) bool, the scenarios that the sample belongs to, by ``Scenario.id``; at least one.
        cross_event: (N,) bool, whether the sounding source changes inside the clip.
        time_s: (N,) float64, when the annotated frame is shown, seconds on its clip's clock; 0 for still images.
        sources: (N,) int64, number of annotated sources.
        sample_id: N strings ``<clip>/<frame>/<scenario>``, ``<clip>/<frame>`` for a whole frame; the clip alone in data
            sets with one image per clip.
        category: N strings, the annotated categories, joined by ``+``.
        cue: N strings, what identifies the visible sources (`Cue`), joined by ``+``; empty in data sets without cues.
    """

    mask: Tensor
    row: Tensor
    segment: Tensor
    next_segment: Tensor
    blend: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    clip: Tensor
    scenarios: Tensor
    cross_event: Tensor
    time_s: Tensor
    sources: Tensor
    sample_id: list[str]
    category: list[str]
    cue: list[str]

    @property
    def on_screen(self) -> Tensor:
        """(N,) bool, whether a sounding source is visible."""
        return self.scenarios[:, : Scenario.OFF_SCREEN.id].any(1)

    def maps_of(self, maps: Tensor) -> Tensor:
        """(N, h, w) float32: of (B, T, h, w) maps those of the samples."""
        first = maps[self.row, self.segment].float()
        if not self.blend.any():
            return first
        weight = self.blend[:, None, None]
        return (1 - weight) * first + weight * maps[self.row, self.next_segment].float()


class BadClip(NamedTuple):
    """A clip that could not be read; workers return it instead of raising an exception.

    In training another clip replaces it in the batch. In evaluation a blank clip (black, silent, without targets)
    replaces it, so that every process takes the same number of steps.

    Attributes:
        index: position in the dataset.
        sample_id: ``<clip>``.
        reason: one sentence that starts with the file's path.
        samples: number of its annotated samples.
    """

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs
    sample_id: str
    reason: str
    samples: int


class Batch(TypedDict):
    """What a DataLoader yields (after collation); see the table of shapes above."""

    frames: Tensor
    waveform: Tensor
    spectrogram: NotRequired[Tensor]
    frame_time: Tensor
    index: Tensor
    sample_id: list[str]
    path: list[str]
    targets: NotRequired[Targets]
    mismatched_waveform: NotRequired[Tensor]
    mismatched_spectrogram: NotRequired[Tensor]
    silence_spectrogram: NotRequired[Tensor]
    noise_spectrogram: NotRequired[Tensor]
    bad_clips: NotRequired[list[BadClip]]
