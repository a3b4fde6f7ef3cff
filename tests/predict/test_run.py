"""Files of many videos; finished, damaged and shared videos; a run that is killed."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tavlo_pl.data import heatmap_folder, media
from tavlo_pl.engine.base import Engine
from tavlo_pl.engine.local import LocalEngine
from tavlo_pl.errors import ConfigError, RunFailedError
from tavlo_pl.predict import overlay_video
from tavlo_pl.predict.folder import UNFINISHED, PredictionFolder, PredictOptions
from tavlo_pl.predict.run import Outcome, predict_all
from tests.helpers.clips import write_numbered
from tests.helpers.faults import contents
from tests.helpers.predict import localizer

SUFFIXES = (".npz", ".jpg", ".mp4", ".sources.json")


@pytest.fixture
def videos(tmp_path: Path) -> list[tuple[str, Path]]:
    """Three videos of 0.8 s."""
    (tmp_path / "in").mkdir()
    found = [(name, tmp_path / "in" / f"{name}.mp4") for name in "abc"]
    for _, path in found:
        write_numbered(path, seconds=0.8, click_s=(0.4,))
    return found


def predict(
    videos: list[tuple[str, Path]],
    out: Path,
    made: str = "one",
    overwrite: bool = False,
    engine: Engine | None = None,
    **options: Any,
) -> Outcome:
    folder = PredictionFolder(out, PredictOptions(**options), {"checkpoint": made})
    return predict_all(videos, localizer, folder, overwrite, progress=False, engine=engine)


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_predict_all_writes_the_files_of_each_video(
    videos: list[tuple[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(videos, tmp_path / "out").written == ["a", "b", "c"]
    assert left(tmp_path / "out") == {f"{name}{suffix}" for name in "abc" for suffix in SUFFIXES} | {"index.html"}
    assert capsys.readouterr().out.startswith("3 videos: 3 written at ")
    archive = np.load(tmp_path / "out" / "a.npz")
    assert sorted(archive) == ["duration_s", "frame_time_s", "heatmap", "size"]
    assert archive["heatmap"].dtype == np.float16 and archive["frame_time_s"].dtype == np.float64
    assert archive["heatmap"].shape == (len(archive["frame_time_s"]), 4, 4)
    assert archive["size"].tolist() == [64, 96] and float(archive["duration_s"]) == pytest.approx(0.8, abs=0.1)
    sources = json.loads((tmp_path / "out" / "a.sources.json").read_text())
    assert len(sources["steps"]) == len(archive["heatmap"])


def test_archive_of_a_long_video_is_split(
    videos: list[tuple[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(videos[:1], tmp_path / "out")
    whole = np.load(tmp_path / "out" / "a.npz")["heatmap"]
    monkeypatch.setattr(heatmap_folder, "MAPS_A_PIECE", len(whole) - 1)
    predict(videos[:1], tmp_path / "out", overwrite=True)
    archive = np.load(tmp_path / "out" / "a.npz")
    assert sorted(archive) == ["duration_s", "frame_time_s", "heatmap_0000", "heatmap_0001", "size"]
    assert np.array_equal(np.concatenate([archive["heatmap_0000"], archive["heatmap_0001"]]), whole)


def test_finished_videos_are_not_opened_again(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    out = tmp_path / "out"
    predict(videos, out, overlay_videos=False)
    assert left(out) == {f"{name}{suffix}" for name in "abc" for suffix in SUFFIXES if suffix != ".mp4"} | {
        "index.html"
    }
    (out / "b.jpg").unlink()
    again = predict(videos, out, overlay_videos=False)
    assert (again.written, again.kept) == (["b"], 2)
    assert predict(videos[1:2], out).written == ["b"]  # its overlay video was missing
    assert predict(videos[1:2], out).kept == 1
    assert predict(videos[1:2], out, overwrite=True).written == ["b"]
    assert predict(videos[1:2], out, made="another").written == ["b"]
    assert predict(videos[1:2], out, made="another", maps_per_second=8.0).written == ["b"]


def test_overlay_video_of_other_heatmaps_is_removed(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    predict(videos[:1], tmp_path / "out")
    predict(videos[:1], tmp_path / "out", overlay_videos=False)
    assert (tmp_path / "out" / "a.mp4").is_file(), "the heatmaps are the same"
    predict(videos[:1], tmp_path / "out", made="another", overlay_videos=False)
    assert left(tmp_path / "out") == {"a.npz", "a.jpg", "a.sources.json", "index.html"}


def test_other_video_of_the_same_name_is_written(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    predict(videos[:1], tmp_path / "out", overlay_videos=False)
    write_numbered(videos[0][1], seconds=1.2, click_s=(0.4,))
    assert predict(videos[:1], tmp_path / "out", overlay_videos=False).written == ["a"]
    assert float(np.load(tmp_path / "out" / "a.npz")["duration_s"]) == pytest.approx(1.2, abs=0.1)


def test_damaged_videos_are_reported_at_the_end(
    videos: list[tuple[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos[1][1].write_bytes(b"<html>not found</html>")
    mute = write_numbered(tmp_path / "in" / "mute.mp4", seconds=0.8, audio=False).path
    with pytest.raises(
        RunFailedError, match=r"2 of 4 videos failed.*b\.mp4: not a media.*mute\.mp4: no audio"
    ) as raised:
        predict([*videos, ("mute", mute)], tmp_path / "out")
    assert raised.value.exit_code == 1
    assert "4 videos: 2 written" in (out := capsys.readouterr().out) and "2 failed" in out
    assert left(tmp_path / "out") == {f"{name}{suffix}" for name in "ac" for suffix in SUFFIXES} | {"index.html"}


def test_failed_overlay_video_leaves_the_video_unfinished(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    whole = videos[0][1].read_bytes()
    broken = bytearray(whole)
    middle = len(whole) // 2
    broken[middle : middle + 400] = bytes(400)
    videos[0][1].write_bytes(bytes(broken))
    with pytest.raises(RunFailedError, match="1 of 3 videos failed"):
        predict(videos, tmp_path / "out")
    assert not (tmp_path / "out" / "a.sources.json").exists() and not (tmp_path / "out" / "a.mp4").exists()


def test_overlay_videos_never_replace_their_sources(videos: list[tuple[str, Path]]) -> None:
    folder, before = videos[0][1].parent, videos[0][1].read_bytes()
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"a\.mp4 was not written by tavlo"):
            predict(videos, folder, overwrite=overwrite)
    (folder / "a.jpg").write_bytes(b"a photo")
    with pytest.raises(ConfigError, match=r"a\.jpg was not written by tavlo"):
        predict(videos[:1], folder, overlay_videos=False)
    (folder / "a.jpg").unlink()
    predict(videos[:1], folder, overlay_videos=False)
    with pytest.raises(ConfigError, match="was not written by tavlo"):
        predict(videos[:1], folder, overwrite=True)
    assert videos[0][1].read_bytes() == before


def test_engine_writes_the_same_files(
    videos: list[tuple[str, Path]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(videos, tmp_path / "one")
    assert predict(videos, tmp_path / "other", engine=LocalEngine(1)).written == ["a", "b", "c"]
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    videos[1][1].write_bytes(b"<html>not found</html>")
    with pytest.raises(RunFailedError, match=r"1 of 3 videos failed.*b\.mp4: not a media"):
        predict(videos, tmp_path / "other", overwrite=True, engine=LocalEngine(1))
    assert "3 videos: 2 written" in capsys.readouterr().out


def test_killed_run_leaves_whole_files_and_can_be_completed(
    videos: list[tuple[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    real = overlay_video.blend
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(overlay_video, "blend", lambda *drawn: (time.sleep(0.02), real(*drawn))[1])
        predict(videos, out)
        os._exit(0)
    until_s = time.monotonic() + 60
    while not (out / UNFINISHED / "b.mp4.part").exists():  # the second overlay video is being written
        assert time.monotonic() < until_s
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    whole = {name for name in left(out) if not name.startswith(UNFINISHED)}
    assert whole == {f"a{suffix}" for suffix in SUFFIXES}
    assert len(media.frame_times(out / "a.mp4")) == 20
    assert predict(videos, out).written == ["b", "c"]
    assert left(out) == {f"{name}{suffix}" for name in "abc" for suffix in SUFFIXES} | {"index.html"}


def test_save_attention_writes_arrays_and_images(videos: list[tuple[str, Path]], tmp_path: Path) -> None:
    long = write_numbered(tmp_path / "in" / "long.mp4", seconds=1.5).path
    predict([videos[0], ("long", long)], tmp_path / "out", overlay_videos=False, save_attention=True)
    stems = ("a", "long.window0", "long.window1")
    assert {f"{stem}.{end}" for stem in stems for end in ("attention.npz", "attention-0.png")} <= left(tmp_path / "out")
    archive = np.load(tmp_path / "out" / "a.attention.npz")
    assert archive["attention"].shape == (1, 17, 4, 4) and archive["frame_time_s"].shape == (4,)
