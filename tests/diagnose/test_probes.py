"""The verdict on hand-made models with known behaviour, on moving squares and tones.

Every clip contains two squares of different colours at random positions in every segment. The audio of a segment is a
tone whose pitch belongs to one of the two squares, drawn at random: the source.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.data.synthetic.twins import TwinClips
from tavlo_pl.diagnose.perturbations import perturbed_maps
from tavlo_pl.diagnose.probes import Diagnosis, Finding, diagnose, synchrony
from tavlo_pl.types import Scenario, Targets
from tests.helpers.suite import flags

CLIPS, SEGMENTS, PIXELS, CELLS = 24, 4, 32, 8
RATE_HZ, SAMPLES = 16_000, 16_000
PITCH_HZ = (400.0, 1200.0, 3600.0)
BANDS = 24

log_mel = LogMel(SEGMENTS, 12, BANDS)


def squares() -> tuple[Tensor, Tensor, Targets]:
    """Frames, audio, and the square that is the source in each segment."""
    draw = torch.Generator().manual_seed(0)
    frames = torch.zeros(CLIPS, SEGMENTS, 3, PIXELS, PIXELS, dtype=torch.uint8)
    mask = torch.zeros(CLIPS, SEGMENTS, PIXELS, PIXELS, dtype=torch.bool)
    waveform = torch.zeros(CLIPS, SEGMENTS, SAMPLES // SEGMENTS)
    time_s = torch.arange(SAMPLES // SEGMENTS) / RATE_HZ
    for clip in range(CLIPS):
        colours = torch.randperm(3, generator=draw)[:2]
        for segment in range(SEGMENTS):
            source = colours[torch.randint(2, (1,), generator=draw)]
            waveform[clip, segment] = 0.3 * torch.sin(2 * math.pi * PITCH_HZ[source] * time_s)
            for colour, place in zip(colours, torch.randperm(16, generator=draw), strict=False):
                y, x = (8 * int(part) for part in divmod(int(place), 4))
                frames[clip, segment, colour, y : y + 8, x : x + 8] = 255
                mask[clip, segment, y : y + 8, x : x + 8] |= colour == source
    count = CLIPS * SEGMENTS
    row = torch.arange(CLIPS).repeat_interleave(SEGMENTS)
    targets = Targets(
        **{field: torch.zeros(count, dtype=torch.int64) for field in Targets._fields if field not in TEXTS}
        | {field: [""] * count for field in TEXTS}
        | {"scenarios": flags(*[Scenario.SINGLE_SOUND] * count), "blend": torch.zeros(count)}
        | {"mask": mask.flatten(0, 1), "row": row, "clip": row, "segment": torch.arange(SEGMENTS).repeat(CLIPS)}
    )
    return frames, waveform.flatten(1), targets


TEXTS = ("sample_id", "category", "cue")


def squares_at_cells(frames: Tensor) -> Tensor:
    """(B, T, 3, cells, cells) in 0..1."""
    return torch.nn.functional.adaptive_avg_pool2d(frames.flatten(0, 1).float() / 255, CELLS).unflatten(
        0, frames.shape[:2]
    )


def bands(spectrogram: Tensor) -> Tensor:
    """(B, T, F) mean log-mel of each segment."""
    return spectrogram[:, 0].unflatten(-1, (SEGMENTS, -1)).mean(-1).transpose(1, 2)


def pitches(spectrogram: Tensor) -> Tensor:
    """(B, T, 3) 1 for the pitch of the segment's tone; 0 where the audio is not a tone."""
    tones = torch.stack([torch.sin(2 * math.pi * pitch * torch.arange(SAMPLES) / RATE_HZ) for pitch in PITCH_HZ])
    band = bands(log_mel(tones)).mean(1).argmax(-1)
    levels = bands(spectrogram)
    loud = levels[..., band] - levels.mean(-1, keepdim=True) > 1.5
    return loud.float()


def oracle(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """High scores at the source."""
    return (squares_at_cells(frames) * pitches(spectrogram)[..., None, None]).sum(2)


def visual_only(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """High scores at both squares."""
    return squares_at_cells(frames).sum(2)


def copier(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """Leak by fusion: every cell encodes the audio it was fused with."""
    return torch.tanh(bands(spectrogram).mean(-1))[..., None, None].expand(-1, -1, CELLS, CELLS)


def peaked(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """One peak at a fixed cell, which minimises the published loss."""
    scores = torch.full((*frames.shape[:2], CELLS, CELLS), -0.9)
    scores[..., 5, 2] = 0.9
    return scores


def middle(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """High scores in the centre of the image."""
    offset = torch.linspace(-1, 1, CELLS)
    return (1 - torch.hypot(offset[:, None], offset)).expand(*frames.shape[:2], -1, -1)


Model = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(scope="module")
def examined() -> Callable[[Model], tuple[Diagnosis, dict[str, Finding]]]:
    frames, waveform, targets = squares()

    def examine(model: Model) -> tuple[Diagnosis, dict[str, Finding]]:
        found = diagnose(perturbed_maps(model, frames, waveform, log_mel, RATE_HZ, 8), targets)
        return found, {finding.name: finding for finding in found.findings}

    return examine


Examine = Callable[[Model], tuple[Diagnosis, dict[str, Finding]]]


def test_oracle_passes_every_probe(examined: Examine) -> None:
    diagnosis, probes = examined(oracle)
    assert diagnosis.depends_on_audio
    assert {name for name, finding in probes.items() if finding.passed is False} == set()
    assert probes["mismatched_audio"].figures["ciou_mean_own_audio"].value > 0.4
    assert probes["retrieval"].figures["accuracy"].low > 0.25  # many clips have the same two colours
    assert probes["synthetic_audio"].figures["active_share_white_noise"].value == 0
    assert probes["mirrored_frames"].figures["correlation_mirrored"].value == pytest.approx(1)


@pytest.mark.parametrize("model", [visual_only, copier, peaked, middle])
def test_models_independent_of_audio_fail_decisive_probes(examined: Examine, model: Model) -> None:
    diagnosis, probes = examined(model)
    assert not diagnosis.depends_on_audio
    for name in ("mismatched_audio", "retrieval", "variance"):
        assert probes[name].passed is False, name
        assert probes[name].sentence in diagnosis.sentence
    assert probes["mismatched_audio"].figures["map_change"].value == pytest.approx(0, abs=1e-9)


def test_variance_identifies_the_source_of_variance(examined: Examine) -> None:
    for model, cause in ((visual_only, "frames"), (copier, "audio_level"), (peaked, "position"), (middle, "position")):
        _, probes = examined(model)
        assert probes["variance"].figures[cause].value > 0.9, model.__name__


def test_retrieval_of_a_fusion_leak_is_at_chance(examined: Examine) -> None:
    _, probes = examined(copier)
    assert probes["retrieval"].figures["frames_given_audio"].value == pytest.approx(1 / 8)


def test_centre_prior_fails_its_probe(examined: Examine) -> None:
    _, probes = examined(middle)
    assert probes["centre_prior"].passed is False
    assert probes["mirrored_frames"].figures["correlation_unmirrored"].value == pytest.approx(1)


def test_model_with_clip_level_audio_fails_shifted_audio(examined: Examine) -> None:
    def whole(frames: Tensor, spectrogram: Tensor) -> Tensor:
        """The oracle with audio averaged over the clip."""
        mean = pitches(spectrogram).mean(1, keepdim=True)
        return (squares_at_cells(frames) * mean[..., None, None]).sum(2)

    diagnosis, probes = examined(whole)
    assert diagnosis.depends_on_audio
    assert probes["shifted_audio"].passed is False
    assert probes["frozen_frames"].figures["temporal_variance_ratio"].value == pytest.approx(0)


def test_silent_segments_fails_for_active_maps(examined: Examine) -> None:
    frames, waveform, targets = squares()
    waveform[::2, : SAMPLES // SEGMENTS] = 0  # half of the clips begin with a silent segment
    for model, passes in ((oracle, True), (visual_only, False)):
        findings = diagnose(perturbed_maps(model, frames, waveform, log_mel, RATE_HZ, 8), targets).findings
        (found,) = (finding for finding in findings if finding.name == "silent_segments")
        assert found.passed is passes
        assert (found.figures["active_share_silent"].value == 0) is passes
        assert found.figures["active_share_sounding"].value > 0.02
    assert "silent_segments" not in examined(oracle)[1]  # no silent segments


def test_synchrony_finds_the_object_that_moves_with_the_sound() -> None:
    masks = np.zeros((3, 2, 2, 8, 8), bool)
    masks[:, :, 0, 2:4, 1:3] = masks[:, :, 1, 2:4, 5:7] = True
    audible = np.array([[True, True], [True, False], [True, True]])
    twins = TwinClips(np.zeros(0), np.zeros(0), masks, audible)
    maps = torch.zeros(3, 2, 8, 8)
    assert synchrony(maps, twins).figures["chosen"].value == 0.5  # ties
    maps[:, :, 2, 1] = 1.0
    found = synchrony(maps, twins)
    assert found.passed and found.figures["chosen"] == (1.0, 1.0, 1.0) and not found.decisive
    maps[0, :, 2, 5] = maps[1, 0, 2, 5] = 2.0  # the silent object in the first clip and in the one audible segment
    assert synchrony(maps, twins).figures["chosen"].value == pytest.approx(1 / 3)


def test_diagnose_without_annotations_uses_maps_alone() -> None:
    frames, waveform, targets = squares()
    maps = perturbed_maps(oracle, frames, waveform, log_mel, RATE_HZ, 8)
    off_screen = targets._replace(scenarios=flags(*[Scenario.OFF_SCREEN] * len(targets.index)))
    for truth in (None, off_screen):
        diagnosis = diagnose(maps, truth)
        assert diagnosis.depends_on_audio
        assert set(diagnosis.findings[0].figures) == {"map_change"}


def test_diagnose_of_one_segment_has_no_temporal_probes() -> None:
    frames, waveform, _ = squares()

    def still(images: Tensor, spectrogram: Tensor) -> Tensor:
        return oracle(images.expand(-1, SEGMENTS, -1, -1, -1), spectrogram)[:, :1]

    names = {
        finding.name
        for finding in diagnose(perturbed_maps(still, frames[:, :1], waveform, log_mel, RATE_HZ, 8), None).findings
    }
    assert names == {"mismatched_audio", "retrieval", "variance", "synthetic_audio", "mirrored_frames", "centre_prior"}
