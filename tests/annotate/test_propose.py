"""``tavlo annotate propose``."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tavlo_pl.annotate.project import Project
from tavlo_pl.annotate.sharpness import sharpness
from tavlo_pl.data import media
from tavlo_pl.data.datasets import AVATAR
from tavlo_pl.errors import DatasetNotFoundError
from tavlo_pl.predict.checkpoint import packaged_checkpoint
from tests.helpers.annotate import CLIPS, propose, write_bursts
from tests.helpers.faults import contents, killed_at_write

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Three clips with a burst from 0.5 to 1.5 s, in which all frames but three are blurred."""
    for clip in CLIPS:
        write_bursts(tmp_path / "videos" / f"{clip}.mp4", blurred=[n for n in range(20) if n not in (3, 8, 13)])
    return tmp_path / "videos"


def test_sharp_frames_of_active_regions_are_proposed(videos: Path, tmp_path: Path) -> None:
    outcome = propose(
        videos, tmp_path / "out", "--ckpt_path", packaged_checkpoint().with_name("world.safetensors"), "--apart_s", 0.4
    )
    assert outcome.code == 0, outcome.err
    assert "6 frames of 3 clips" in outcome.out
    project = Project.open(tmp_path / "out")
    for proposals in project.all_proposals():
        (region,) = proposals.regions
        assert region == pytest.approx((0.5, 1.5), abs=0.07)
        assert [frame.record.number for frame in proposals.frames] == [8, 13]
        video = media.read_clip(project.video(proposals.clip), np.arange(20) / 10 + 0.01, None, 0, 0).frames
        measured = sharpness(video)
        for frame in proposals.frames:
            assert frame.sharpness == pytest.approx(measured[frame.record.number], rel=0.01)
            assert project.image(proposals.clip, frame.record.name).is_file()
            assert frame.heatmap is not None and len(frame.heatmap) == 12
    rows = pq.read_table(tmp_path / "out" / "proposals.parquet").to_pylist()
    assert {(row["clip"], row["frame"]) for row in rows} == {(clip, n) for clip in CLIPS for n in (8, 13)}
    assert {row["by"] for row in rows} <= {None, "heatmap"}
    with pytest.raises(DatasetNotFoundError):
        AVATAR(str(project.avatar)).clips()  # nothing is annotated yet


def test_run_resumes_and_refuses_other_options(videos: Path, tmp_path: Path) -> None:
    assert propose(videos, tmp_path / "out").code == 0
    project = Project(tmp_path / "out")
    paths = [project.proposals_path(clip) for clip in CLIPS]
    before = [path.stat().st_mtime_ns for path in paths[1:]]
    whole = paths[0].read_text()
    paths[0].unlink()
    paths[0].with_name(f"{paths[0].name}.part").write_text("{")  # of a killed run
    assert propose(videos, tmp_path / "out").code == 0
    assert paths[0].read_text() == whole and [path.stat().st_mtime_ns for path in paths[1:]] == before
    other = propose(videos, tmp_path / "out", "--apart_s", 0.3)
    assert other.code == 2 and "proposals of other options" in other.err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "is not empty" in propose(videos, tmp_path / "full").err


@pytest.mark.parametrize(
    "number", [2, pytest.param(3, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)]
)
def test_killed_run_is_continued(videos: Path, tmp_path: Path, number: int) -> None:
    assert killed_at_write(number, lambda: propose(videos, tmp_path / "out"))
    outcome = propose(videos, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert propose(videos, tmp_path / "whole").code == 0
    one, other = (contents(tmp_path / name) for name in ("out", "whole"))
    assert one.keys() == other.keys()
    assert {name for name in one if one[name] != other[name]} <= {"clips.parquet"}


@pytest.mark.slow
def test_sounding_moments_are_in_active_regions(world: Path, tmp_path: Path) -> None:
    assert propose(world / "test" / "video", tmp_path / "out", "--max_frames", 1000).code == 0
    project, near = Project(tmp_path / "out"), []
    for clip in AVATAR(str(world / "test")).clips():
        times_s, regions = media.frame_times(clip.path), project.proposals(clip.sample_id).regions
        for frame in clip.annotations:
            assert frame.number is not None
            at_s = times_s[frame.number]
            near.append(any(start - 0.3 <= at_s <= end + 0.3 for start, end in regions))
    assert len(near) >= 5 and np.mean(near) >= 0.9


def test_bad_video_stops_no_other(videos: Path, tmp_path: Path) -> None:
    path = videos / f"{CLIPS[1]}.mp4"
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + 40
    data[middle : middle + 1500] = bytes(1500)
    path.write_bytes(data)
    outcome = propose(videos, tmp_path / "out")
    assert outcome.code == 1 and f"{CLIPS[1]}.mp4: damaged" in outcome.err
    assert Project(tmp_path / "out").clips() == [CLIPS[0], CLIPS[2]]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--detector", "maskrcnn"), "no such detection model"),
        (("--tagger", "yamnet"), "needs its weights"),
        (("--ckpt_path", "nowhere.ckpt"), "no checkpoint at nowhere.ckpt"),
        (("--frames_per_region", 0), "must be at least 1"),
        (("--activity.start_db", 40), "start_db 40"),
        (("--jobs", 0), "at least 1 process, not 0"),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path: Path, args: tuple[object, ...], words: str) -> None:
    outcome = propose(tmp_path, tmp_path / "out", *args)
    assert outcome.code == 2 and words in outcome.err and outcome.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_damaged_proposals_are_refused(tmp_path: Path, videos: Path) -> None:
    assert propose(videos, tmp_path / "out").code == 0
    project = Project(tmp_path / "out")
    path = project.proposals_path(CLIPS[0])
    content = json.loads(path.read_text())
    content["frames"][0]["region"] = 7
    path.write_text(json.dumps(content))
    outcome = propose(videos, tmp_path / "out")
    assert outcome.code == 2 and "delete the file and run tavlo annotate propose again" in outcome.err
