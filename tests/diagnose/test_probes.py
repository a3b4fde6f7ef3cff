"""The right verdict on models whose guilt is known: made by hand, on moving squares and tones.

Every clip shows two squares of different colours, each at a place of its own at every moment. A tone sounds all the
time; its pitch, drawn anew for every segment from those of the two squares, says which of them is heard.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tavlo_pl.data.spectrogram import LogMel
from tavlo_pl.diagnose.perturbations import try_out
from tavlo_pl.diagnose.probes import Diagnosis, Finding, diagnose
from tavlo_pl.types import Scenario, Targets

CLIPS, SEGMENTS, PIXELS, CELLS = 24, 4, 32, 8
RATE_HZ, SAMPLES = 16_000, 16_000
PITCH_HZ = (400.0, 1200.0, 3600.0)
BANDS = 24

log_mel = LogMel(SEGMENTS, 12, BANDS)


def squares() -> tuple[Tensor, Tensor, Targets]:
    """Frames, sounds, and the square that is heard at each moment."""
    draw = torch.Generator().manual_seed(0)
    frames = torch.zeros(CLIPS, SEGMENTS, 3, PIXELS, PIXELS, dtype=torch.uint8)
    mask = torch.zeros(CLIPS, SEGMENTS, PIXELS, PIXELS, dtype=torch.bool)
    waveform = torch.zeros(CLIPS, SEGMENTS, SAMPLES // SEGMENTS)
    time_s = torch.arange(SAMPLES // SEGMENTS) / RATE_HZ
    for clip in range(CLIPS):
        seen = torch.randperm(3, generator=draw)[:2]
        for segment in range(SEGMENTS):
            heard = seen[torch.randint(2, (1,), generator=draw)]
            waveform[clip, segment] = 0.3 * torch.sin(2 * math.pi * PITCH_HZ[heard] * time_s)
            for colour, place in zip(seen, torch.randperm(16, generator=draw), strict=False):
                y, x = (8 * int(part) for part in divmod(int(place), 4))
                frames[clip, segment, colour, y : y + 8, x : x + 8] = 255
                mask[clip, segment, y : y + 8, x : x + 8] |= colour == heard
    count = CLIPS * SEGMENTS
    row = torch.arange(CLIPS).repeat_interleave(SEGMENTS)
    targets = Targets(
        **{field: torch.zeros(count, dtype=torch.int64) for field in Targets._fields if field not in TEXTS}
        | {field: [""] * count for field in TEXTS}
        | {"mask": mask.flatten(0, 1), "row": row, "clip": row, "segment": torch.arange(SEGMENTS).repeat(CLIPS)}
    )
    return frames, waveform.flatten(1), targets


TEXTS = ("sample_id", "category")


def shown(frames: Tensor) -> Tensor:
    """(B, T, 3, cells, cells) in 0..1."""
    return torch.nn.functional.adaptive_avg_pool2d(frames.flatten(0, 1).float() / 255, CELLS).unflatten(
        0, frames.shape[:2]
    )


def bands(spectrogram: Tensor) -> Tensor:
    """(B, T, F) mean log-mel of each segment."""
    return spectrogram[:, 0].unflatten(-1, (SEGMENTS, -1)).mean(-1).transpose(1, 2)


def tuned(spectrogram: Tensor) -> Tensor:
    """(B, T, 3) which of the three pitches is heard; nothing where the sound is no tone."""
    tones = torch.stack([torch.sin(2 * math.pi * pitch * torch.arange(SAMPLES) / RATE_HZ) for pitch in PITCH_HZ])
    band = bands(log_mel(tones)).mean(1).argmax(-1)
    sound = bands(spectrogram)
    loud = sound[..., band] - sound.mean(-1, keepdim=True) > 1.5
    return loud.float()


def oracle(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """Lights the square that is heard."""
    return (shown(frames) * tuned(spectrogram)[..., None, None]).sum(2)


def deaf(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """Lights whatever is there."""
    return shown(frames).sum(2)


def copier(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """The fusion leak at its purest: every cell holds the sound that it was fused with."""
    return torch.tanh(bands(spectrogram).mean(-1))[..., None, None].expand(-1, -1, CELLS, CELLS)


def peaked(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """The pooling gap at its purest: one peak, always at the same place, as the published loss likes it."""
    scores = torch.full((*frames.shape[:2], CELLS, CELLS), -0.9)
    scores[..., 5, 2] = 0.9
    return scores


def middle(frames: Tensor, spectrogram: Tensor) -> Tensor:
    """Lights the middle of the picture."""
    offset = torch.linspace(-1, 1, CELLS)
    return (1 - torch.hypot(offset[:, None], offset)).expand(*frames.shape[:2], -1, -1)


Model = Callable[[Tensor, Tensor], Tensor]


@pytest.fixture(scope="module")
def examined() -> Callable[[Model], tuple[Diagnosis, dict[str, Finding]]]:
    frames, waveform, targets = squares()

    def examine(model: Model) -> tuple[Diagnosis, dict[str, Finding]]:
        found = diagnose(try_out(model, frames, waveform, log_mel, RATE_HZ, 8), targets)
        return found, {finding.name: finding for finding in found.findings}

    return examine


Examine = Callable[[Model], tuple[Diagnosis, dict[str, Finding]]]


def test_an_oracle_listens_and_every_probe_says_so(examined: Examine) -> None:
    diagnosis, probes = examined(oracle)
    assert diagnosis.listens
    assert {name for name, finding in probes.items() if finding.passed is False} == set()
    assert probes["mismatched"].figures["ciou_mean_own_sound"].value > 0.4
    assert probes["pairs"].figures["retrieval"].low > 0.25  # many clips show the same two colours
    assert probes["made_up"].figures["lit_by_white_noise"].value == 0
    assert probes["flipped"].figures["map_is_mirrored"].value == pytest.approx(1)


@pytest.mark.parametrize("model", [deaf, copier, peaked, middle])
def test_models_that_do_not_listen_leak(examined: Examine, model: Model) -> None:
    diagnosis, probes = examined(model)
    assert not diagnosis.listens
    for name in ("mismatched", "pairs", "variance"):
        assert probes[name].passed is False, name
        assert probes[name].sentence in diagnosis.sentence
    assert probes["mismatched"].figures["map_moves"].value == pytest.approx(0, abs=1e-9)


def test_what_the_scores_depend_on_is_named(examined: Examine) -> None:
    for model, cause in ((deaf, "picture"), (copier, "sound_level"), (peaked, "position"), (middle, "position")):
        _, probes = examined(model)
        assert probes["variance"].figures[cause].value > 0.9, model.__name__


def test_the_fusion_leak_leaves_retrieval_at_chance(examined: Examine) -> None:
    _, probes = examined(copier)
    assert probes["pairs"].figures["of_pictures_for_a_sound"].value == pytest.approx(1 / 8)


def test_a_map_of_the_middle_is_known_by_its_probe(examined: Examine) -> None:
    _, probes = examined(middle)
    assert probes["centre"].passed is False
    assert probes["flipped"].figures["map_stays"].value == pytest.approx(1)


def test_a_model_that_hears_the_clip_as_a_whole_does_not_follow_in_time(examined: Examine) -> None:
    def whole(frames: Tensor, spectrogram: Tensor) -> Tensor:
        """The oracle with one sound for the clip."""
        heard = tuned(spectrogram).mean(1, keepdim=True)
        return (shown(frames) * heard[..., None, None]).sum(2)

    diagnosis, probes = examined(whole)
    assert diagnosis.listens
    assert probes["shifted"].passed is False
    assert probes["frozen"].figures["movement_left"].value == pytest.approx(0)


def test_a_map_that_stays_lit_in_a_pause_is_known(examined: Examine) -> None:
    frames, waveform, targets = squares()
    waveform[::2, : SAMPLES // SEGMENTS] = 0  # half of the clips begin with a pause
    for model, goes_dark in ((oracle, True), (deaf, False)):
        findings = diagnose(try_out(model, frames, waveform, log_mel, RATE_HZ, 8), targets).findings
        (found,) = (finding for finding in findings if finding.name == "pauses")
        assert found.passed is goes_dark
        assert (found.figures["lit_in_pauses"].value == 0) is goes_dark
        assert found.figures["lit_while_it_sounds"].value > 0.02
    assert "pauses" not in examined(oracle)[1]  # nothing to ask where nothing pauses


def test_without_annotations_maps_alone_decide() -> None:
    frames, waveform, targets = squares()
    maps = try_out(oracle, frames, waveform, log_mel, RATE_HZ, 8)
    unseen = targets._replace(scenario=torch.full_like(targets.scenario, Scenario.OFF_SCREEN.id))
    for truth in (None, unseen):
        diagnosis = diagnose(maps, truth)
        assert diagnosis.listens
        assert set(diagnosis.findings[0].figures) == {"map_moves"}


def test_a_clip_of_one_segment_has_no_probes_of_time() -> None:
    frames, waveform, _ = squares()

    def still(seen: Tensor, heard: Tensor) -> Tensor:
        return oracle(seen.expand(-1, SEGMENTS, -1, -1, -1), heard)[:, :1]

    names = {
        finding.name
        for finding in diagnose(try_out(still, frames[:, :1], waveform, log_mel, RATE_HZ, 8), None).findings
    }
    assert names == {"mismatched", "pairs", "variance", "made_up", "flipped", "centre"}
