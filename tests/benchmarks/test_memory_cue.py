"""Weights over time at samples of the cue ``memory``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import memory_cue
from benchmarks.memory_cue import AUDIO, AVERAGE, CELLS, CueSample
from benchmarks.scenes import replay
from tavlo_pl.errors import ConfigError
from tavlo_pl.predict.localizer import Localizer
from tests.helpers.predict import SPEC, Brightness, localizer

SEGMENTS = 4


def sample(clip: int = 0, is_memory: bool = True, segment: int = 2, active: tuple[int, ...] = (0,)) -> CueSample:
    """Weights of 0.7 on the first segment and 0.1 on the three others."""
    weights = np.array([0.7, 0.1, 0.1, 0.1])
    return CueSample(clip, is_memory, segment, np.isin(range(SEGMENTS), active), {AUDIO: weights, AVERAGE: weights})


def test_active_segments_count_before_the_sample_alone() -> None:
    found = sample(segment=2, active=(0, 1, 2, 3))
    assert found.earlier.tolist() == [True, True, False, False] and found.last.tolist() == [False, True, False, False]
    assert not sample(segment=0).earlier.any() and not sample(segment=0).last.any()


def test_weights_by_distance_are_means_over_samples() -> None:
    samples = [sample(segment=1), sample(segment=2)]
    profile = memory_cue.by_distance(samples, AUDIO)  # distances -3 to 3
    assert profile == pytest.approx([0, 0.7, 0.4, 0.1, 0.1, 0.1, 0])
    assert memory_cue.expected(samples[0], profile) == pytest.approx(np.array([0.4, 0.1, 0.1, 0.1]) / 0.7)


def test_share_table_compares_with_uniform_weights() -> None:
    samples = [sample(0), sample(1), sample(2, is_memory=False, active=(1,)), sample(2, is_memory=False, segment=0)]
    table = memory_cue.share_table(samples)
    rows = {row[0]: dict(zip(table.header, row, strict=False)) for row in table.rows}
    memory, other = rows[f"{AUDIO}, memory samples"], rows[f"{AUDIO}, other samples"]
    assert (memory["samples (clips)"], other["samples (clips)"]) == ("2 (2)", "1 (1)")
    assert (memory["share"], memory["uniform"]) == ("70.0 [70.0, 70.0]", "25.0 [25.0, 25.0]")
    assert memory["more than uniform"] == "45.0 [45.0, 45.0]" and other["more than uniform"] == "-15.0 [-15.0, -15.0]"
    assert memory["on the last one"] == "70.0 [70.0, 70.0]"


def test_share_table_of_no_memory_samples_has_empty_cells() -> None:
    table = memory_cue.share_table([sample(is_memory=False)])
    assert table.rows[0][1:3] == ["0 (0)", "–"]


def test_samples_have_weights_of_the_source(world: Path) -> None:
    rng = np.random.default_rng(0)
    attention = rng.random((1 + 16, SEGMENTS, SEGMENTS))
    attention /= attention.sum(-1, keepdims=True)
    fixed = np.eye(SEGMENTS)
    samples = [
        found
        for n, clip in enumerate(replay(world / "test"))
        for found in memory_cue.samples_of(clip, n, world / "test", attention, fixed)
    ]
    assert len(samples) >= 4 and {found.segment for found in samples} <= set(range(SEGMENTS))
    for found in samples:
        assert found.weights[AUDIO].tolist() == attention[0, found.segment].tolist()
        assert found.weights[AVERAGE].argmax() == found.segment
        assert found.weights[CELLS].sum() == pytest.approx(1) and found.weights[CELLS].max() < 1


def test_measure_writes_the_figure_and_prints_the_table(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = replace(SPEC, duration_s=2.0)
    whole = Localizer(Brightness(), spec, 0.0, torch.device("cpu"))
    monkeypatch.setattr(memory_cue, "load_localizer", lambda path: whole)
    memory_cue.measure(str(world / "test"), "a.ckpt", str(tmp_path / "a.svg"))
    assert "weights of the audio token" in (tmp_path / "a.svg").read_text()
    assert f"| {AVERAGE}, other samples |" in capsys.readouterr().out


def test_clips_of_several_windows_are_refused(world: Path) -> None:
    with pytest.raises(ConfigError, match="longer than the"):
        memory_cue.attention_of(localizer(), replay(world / "test"))
