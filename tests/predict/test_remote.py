"""``tavlo predict`` with videos and results in object storage: the files of a folder on disk."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tavlo_pl.io import remote
from tavlo_pl.io.output_folder import OutputFolder
from tavlo_pl.predict.checkpoint import packaged_checkpoint
from tavlo_pl.predict.folder import PredictionFolder, PredictOptions
from tavlo_pl.predict.run import predict_all
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.faults import contents
from tests.helpers.predict import localizer
from tests.helpers.remote import clear, stored, upload

pytestmark = pytest.mark.filterwarnings("ignore")
CHECKPOINT = packaged_checkpoint().with_name("world.safetensors")
OUT = "memory://bucket/found"


@pytest.fixture
def videos(world: Path, tmp_path: Path) -> Iterator[Path]:
    """Three videos in a folder, which is also at ``memory://bucket/videos``."""
    (tmp_path / "videos" / "b").mkdir(parents=True)
    paths = sorted((world / "train").rglob("*.mp4"))[:3]
    for path, name in zip(paths, ("a.mp4", "b/a.mp4", "c.mp4"), strict=True):
        shutil.copy(path, tmp_path / "videos" / name)
    clear()
    upload(tmp_path / "videos", "bucket/videos")
    yield tmp_path / "videos"
    clear()


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of the files that are copied."""
    found: list[str] = []
    real = remote._transfer

    def note(file: remote.RemoteFile, path: Path) -> None:
        found.append(str(file))
        real(file, path)

    monkeypatch.setattr(remote, "_transfer", note)
    return found


def predict(*videos: object, out: object = OUT, options: tuple[str, ...] = ()) -> Outcome:
    return tavlo("predict", *videos, "--out", out, "--ckpt_path", CHECKPOINT, *options)


def comparable(files: dict[str, bytes]) -> dict[str, Any]:
    """Files without those of the start of the run, and without the times of the videos."""
    found: dict[str, Any] = {}
    for name, content in files.items():
        if name.endswith(".json") and name != "run.json":
            found[name] = json.loads(content)
            found[name]["source"].pop("mtime_ns")
        elif name not in ("run.json", "config.yaml"):
            found[name] = content
    return found


@pytest.mark.parametrize("options", [(), ("--layout", "avatar"), ("--overlay_videos", "false")])
def test_results_are_those_of_a_folder(
    videos: Path, tmp_path: Path, copied: list[str], options: tuple[str, ...]
) -> None:
    local = predict(videos, out=tmp_path / "local", options=options)
    assert local.code == 0, local.err
    outcome = predict("memory://bucket/videos", options=options)
    assert outcome.code == 0, outcome.err
    assert f"run folder: {OUT}" in outcome.out and "3 written" in outcome.out
    assert comparable(stored("bucket/found")) == comparable(contents(tmp_path / "local"))
    assert sorted(copied) == [f"memory://bucket/videos/{name}" for name in ("a.mp4", "b/a.mp4", "c.mp4")]
    again = predict("memory://bucket/videos", options=options)
    assert "0 written, 3 finished before" in again.out and len(copied) == 3


@pytest.mark.usefixtures("videos")
def test_attention_is_uploaded(tmp_path: Path) -> None:
    options = PredictOptions(overlay_videos=False, save_attention=True)
    folder = PredictionFolder(tmp_path / "staging", options, {}, OutputFolder(OUT))
    folder.path.mkdir()
    (path,) = remote.find("memory://bucket/videos/a.mp4")
    predict_all([("a", path)], localizer, folder, progress=False)
    names = {f"a.window{n}.attention{suffix}" for n in range(3) for suffix in (".npz", "-0.png")}
    assert stored("bucket/found").keys() == names | {"a.npz", "a.jpg", "a.sources.json", "index.html"}


def test_one_side_may_be_on_disk(videos: Path, tmp_path: Path) -> None:
    both = (videos / "c.mp4", "memory://bucket/videos/a.mp4", "memory://bucket/videos/b/*.mp4")
    assert "3 written" in predict(*both, out=tmp_path / "out").out
    uploaded = predict(videos, out="memory://bucket/other")
    assert "3 written" in uploaded.out, uploaded.err
    assert comparable(stored("bucket/other")).keys() >= {"a.npz", "b__a.mp4", "index.html"}
    assert "3 written" in predict(f"file://{videos}", out=f"file://{tmp_path}/local").out
    assert (tmp_path / "local" / "b__a.npz").is_file()


def test_stopped_run_resumes(videos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = PredictionFolder.publish

    def stops(self: PredictionFolder, sample_id: str) -> None:
        if sample_id == "b__a":
            raise KeyboardInterrupt
        real(self, sample_id)

    monkeypatch.setattr(PredictionFolder, "publish", stops)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(tmp_path.iterdir())
    assert predict("memory://bucket/videos").code == 130
    assert set(tmp_path.iterdir()) == before, "temporary files are removed"
    assert "a.npz" in stored("bucket/found") and "b__a.npz" not in stored("bucket/found")
    monkeypatch.undo()
    assert "2 written" in predict("memory://bucket/videos").out
    assert predict(videos, out=tmp_path / "local").code == 0
    assert comparable(stored("bucket/found")) == comparable(contents(tmp_path / "local"))
    files = fsspec.filesystem("memory")
    files.rm_file("/bucket/found/c.jpg")
    files.pipe_file("/bucket/videos/a.mp4", files.cat_file("/bucket/videos/c.mp4"))
    assert "2 written" in predict("memory://bucket/videos").out
    sources = {name: json.loads(content) for name, content in stored("bucket/found").items() if "sources" in name}
    assert sources["a.sources.json"]["source"]["sha256"] == sources["c.sources.json"]["source"]["sha256"]


def test_results_below_the_videos_are_no_videos(videos: Path) -> None:
    for out in ("memory://bucket/videos/found", "memory://bucket/videos/more"):
        outcome = predict("memory://bucket/videos", out=out)
        assert outcome.code == 0 and "3 written" in outcome.out, outcome.err
    assert "3 overlay video of tavlo predict" in outcome.out
    outcome = predict("memory://bucket/videos/a.mp4", out="memory://bucket/videos")
    assert outcome.code == 2 and "memory://bucket/videos/a.mp4 was not written by tavlo" in outcome.err


def test_bad_video_stops_no_other(videos: Path) -> None:
    files = fsspec.filesystem("memory")
    files.pipe_file("/bucket/videos/b/a.mp4", files.cat_file("/bucket/videos/a.mp4")[:2000])
    outcome = predict("memory://bucket/videos")
    assert outcome.code == 1
    assert "1 of 3 videos failed, all others are written: memory://bucket/videos/b/a.mp4: truncated" in outcome.err
    assert {"a.npz", "c.npz", "index.html", "config.yaml"} <= stored("bucket/found").keys()
    assert "b__a.npz" not in stored("bucket/found")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("predict", "memory://bucket/none"), 2, "memory://bucket/none: no video there"),
        (("predict", "nothing://bucket"), 2, "no file system for this address (Protocol not known: nothing)"),
        (("predict", "s3://me:secret@bucket/videos"), 2, "s3://...@bucket/videos: an address with a password"),
        (("predict", "x.mp4", "--out", "s3://me:secret@bucket/videos"), 2, "s3://...@bucket/videos: an address"),
        (("predict", "rtsp://me:secret@camera/1"), 2, "rtsp://...@camera/1 is a live input"),
        (("test", "--out", "memory://bucket/out"), 2, "only predict to addresses"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path: Path, words: tuple[str, ...], code: int, message: str) -> None:
    out = () if "--out" in words else ("--out", tmp_path / "out")
    outcome = tavlo(*words, *out, "--ckpt_path", CHECKPOINT)
    assert outcome.code == code and message in outcome.err
    assert "secret" not in outcome.err + outcome.out and "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()
