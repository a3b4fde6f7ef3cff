"""``tavlo predict --layout avatar``: its files, and that their score is that of a test."""

import json
from pathlib import Path

import numpy as np
import pytest

from tavlo_pl import env
from tavlo_pl.data import media
from tavlo_pl.predict.avatar_folder import maps_of_every_eighth_frame
from tavlo_pl.predict.sources import Localization
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered
from tests.helpers.run import tiny_config

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize(("rate", "frames"), [(25, 50), (24, 49), (30, 48)])
def test_maps_are_those_of_every_eighth_frame(tmp_path: Path, rate: int, frames: int) -> None:
    path = tmp_path / "a.mp4"
    write_numbered(path, seconds=frames / rate, rate=rate)
    time_s = np.array([0.5, 1.0, 1.5])
    heatmap = (np.float32(3) * time_s.astype(np.float32))[:, None, None] + np.zeros((1, 2, 2), np.float32)
    maps = maps_of_every_eighth_frame(Localization("a", path, frames / rate, (64, 96), time_s, heatmap, None))
    times_s = media.frame_times(path)
    assert maps.dtype == np.float32 and maps.shape == (-(-len(times_s) // 8), 2, 2)
    assert maps[:, 0, 1] == pytest.approx(3 * np.clip(times_s[::8], 0.5, 1.5), abs=1e-5)


@pytest.fixture(scope="module")
def world_of_32_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test clips of 32 frames in 2 s, in which two segments have their centres at the frames 8 and 24."""
    folder = tmp_path_factory.mktemp("world")
    sizes = ("--train_clips", 2, "--clips_per_scenario", 1, "--val_clips_per_scenario", 1, "--duration_s", 2)
    form = ("--frame_rate", 16, "--width", 96, "--height", 64, "--workers", 1)
    outcome = tavlo("data", "synth", "--out", folder, *form, *sizes)
    assert outcome.code == 0, outcome.err
    return folder


def fit(world: Path, folder: Path, segments: int) -> tuple[str, Path]:
    """Trains the tiny model for one step; returns the option that names its checkpoint."""
    config = tiny_config(world, folder, max_steps=1)
    size = ("--data.clip.segments", segments, "--data.clip.columns_per_segment", 80)
    trained = tavlo("fit", "-c", config, *size, "--out", folder / "run")
    assert trained.code == 0, trained.err
    return "--ckpt_path", folder / "run" / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def two_segments(world_of_32_frames: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    return fit(world_of_32_frames, tmp_path_factory.mktemp("two"), segments=2)


def figures(world: Path, folder: Path, weights: tuple[str, Path]) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of ``tavlo test``, and of ``tavlo predict`` followed by ``tavlo score``, for the same weights."""
    tested = tavlo("test", *weights, "--out", folder / "test")
    assert tested.code == 0, tested.err
    model = folder / "results" / "tiny"
    predicted = tavlo(
        "predict", *weights, "--data.root", world / "test" / "video", "--layout", "avatar", "--out", model
    )
    assert predicted.code == 0, predicted.err
    words = ("--dataset", "avatar", "--annotations", world / "test", "--predictions", model, "--frame_rate", 16)
    scored = tavlo("score", *words, "--out", folder / "score" / "results.json")
    assert scored.code == 0, scored.err
    found = []
    for results in (folder / "test" / "results.json", folder / "score" / "results.json"):
        metrics = json.loads(results.read_text())["metrics"]
        assert metrics["protocol"]["name"] == "avatar" and metrics["protocol"]["modified"] == []
        values = {}
        for group, of_group in metrics["scenarios"].items():
            for rule, by_name in of_group["rows"]["model"].items():
                named = {f"{group} {rule} {name}": value for name, value in by_name.items()}
                values |= {name: value for name, value in named.items() if isinstance(value, float)}
        found.append(values)
    return found[0], found[1]


def test_score_of_predictions_equals_the_test(
    world_of_32_frames: Path, two_segments: tuple[str, Path], tmp_path: Path
) -> None:
    tested, scored = figures(world_of_32_frames, tmp_path, two_segments)
    assert len(tested) > 20 and tested.keys() == scored.keys()
    for name, value in tested.items():
        assert scored[name] == pytest.approx(value, abs=1e-6), name
    model = tmp_path / "results" / "tiny"
    clips = {path.stem for path in (world_of_32_frames / "test" / "video").glob("*.mp4")}
    assert {path.relative_to(model).as_posix() for path in model.rglob("*.*")} >= {
        *(f"heatmap/{clip}.npy" for clip in clips),
        *(f"made_with/{clip}.json" for clip in clips),
    }
    assert not list(model.rglob("*.mp4")) + list(model.rglob("*.html"))
    maps = np.load(next(model.glob("heatmap/*.npy")))
    assert maps.dtype == np.float32 and len(maps) == 4


@pytest.mark.slow
def test_score_of_predictions_differs_for_maps_between_frames(world_of_32_frames: Path, tmp_path: Path) -> None:
    weights = fit(world_of_32_frames, tmp_path, segments=5)  # centres at the frames 3.2, 9.6, 16 …
    tested, scored = figures(world_of_32_frames, tmp_path, weights)
    names = [name for name in tested if name.endswith("ciou_mean")]
    assert any(abs(tested[name] - scored[name]) > 1e-6 for name in names)
    assert all(abs(tested[name] - scored[name]) < 0.2 for name in names)


def test_a_second_prediction_keeps_finished_videos(
    world_of_32_frames: Path, two_segments: tuple[str, Path], tmp_path: Path
) -> None:
    video = next((world_of_32_frames / "test" / "video").glob("*.mp4"))
    words = ("predict", *two_segments, "--data.root", video, "--layout", "avatar", "--out", tmp_path / "out")
    first, second = tavlo(*words), tavlo(*words)
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "1 video: 1 written" in first.out and "1 finished before" in second.out
    (tmp_path / "out" / "made_with" / f"{video.stem}.json").unlink()
    assert "1 written" in tavlo(*words).out


def test_selected_stream_is_one_of_the_options_of_a_result(
    world_of_32_frames: Path, two_segments: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in env.STREAMS.values():
        monkeypatch.setenv(variable, "")  # the options set them for this process
    video = next((world_of_32_frames / "test" / "video").glob("*.mp4"))
    words = ("predict", *two_segments, "--data.root", video, "--layout", "avatar", "--out", tmp_path / "out")
    assert "1 written" in tavlo(*words).out
    assert "1 written" in tavlo(*words, "--video_stream", 0).out
    made_with = json.loads((tmp_path / "out" / "made_with" / f"{video.stem}.json").read_text())
    assert "'streams': {'video': 0}" in str(made_with)
    missing = tavlo(*words, "--audio_stream", 1)
    assert missing.code == 1
    assert "audio_stream is 1, but the file has 1 audio streams, counted from 0" in missing.err
