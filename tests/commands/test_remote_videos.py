"""``tavlo data index``, ``data shard`` and ``annotate propose`` with videos and results in object storage."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from tavlo_pl.commands import data_index
from tavlo_pl.data.index import Index, probe
from tavlo_pl.errors import ConfigError
from tavlo_pl.io import remote
from tests.helpers.annotate import CLIPS, propose, write_bursts
from tests.helpers.cli import Outcome, tavlo
from tests.helpers.faults import contents
from tests.helpers.remote import clear, on_disk, stored, upload

pytestmark = pytest.mark.filterwarnings("ignore")
FILTER = ["--min_frames", "1", "--max_frames", "1000", "--duration_s", "2", "--width", "null"]
FILTER += ["--height", "null", "--jobs", "1"]
SHARDS = ["--segments", "2", "--duration_s", "2", "--image_size", "32", "--clips_per_shard", "2", "--workers", "1"]
VIDEOS = "memory://bucket/videos"
TABLE = "memory://bucket/tables/index.parquet"


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three clips in a folder, which is also at `VIDEOS`."""
    monkeypatch.setattr(remote, "WAITS_S", ())
    for clip in CLIPS:
        write_bursts(tmp_path / "videos" / f"{clip}.mp4")
    clear()
    upload(tmp_path / "videos", "bucket/videos")
    yield tmp_path / "videos"
    clear()


def index(root: object, out: object) -> Outcome:
    return tavlo("data", "index", "--root", root, "--out", out, *FILTER)


def rows(table: Any) -> list[dict[str, Any]]:
    """Rows of an index, with the names of the files in place of what differs between places."""
    found = pq.read_table(table).to_pylist()
    return [{**row, "path": Path(row["path"].split("::")[0]).name, "mtime_ns": None} for row in found]


def shard(index: object, out: object, *words: object) -> Outcome:
    source = ("--source", "tavlo_pl.data.index.Index", "--source.path", index, "--source.split", "null")
    return tavlo("data", "shard", *source, "--out", out, *SHARDS, *words)


def test_index_has_the_rows_of_a_folder(videos: Path, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for name in ("notes.txt", ".hidden/a.mp4", "more.tar", "cut.mp4"):
        (videos / name).parent.mkdir(exist_ok=True)
        (videos / name).write_bytes((videos / f"{CLIPS[0]}.mp4").read_bytes()[:1500])
        files.pipe_file(f"/bucket/videos/{name}", (videos / name).read_bytes())
    (videos / "more.tar").unlink()  # an archive at an address is not read
    assert index(videos, tmp_path / "local.parquet").code == 0
    (videos / "notes.txt").unlink()  # videos at addresses are recognised by their names
    outcome = index(VIDEOS, TABLE)
    assert outcome.code == 0, outcome.err
    assert f"index: {TABLE}" in outcome.out and "2 no video (.tar 1, .txt 1), 1 hidden" in outcome.out
    table = rows(BytesIO(stored("bucket/tables")["index.parquet"]))
    assert table == [row for row in rows(tmp_path / "local.parquet") if row["path"] != "notes.txt"]
    assert stored("bucket/tables").keys() == {"index.parquet"}, "no journal is left"
    assert index(on_disk(videos), tmp_path / "chained.parquet").code == 0
    assert rows(tmp_path / "chained.parquet") == table


def test_stopped_index_resumes(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = probe.probe_video

    def stops(row: probe.Probed, file: Any) -> probe.Probed:
        if opened and str(file).endswith(f"{CLIPS[1]}.mp4"):
            raise KeyboardInterrupt
        opened.append(file.name)
        return real(row, file)

    monkeypatch.setattr(probe, "probe_video", stops)
    monkeypatch.setattr(data_index, "SAVE_S", 0.0)
    assert index(VIDEOS, TABLE).code == 130
    assert stored("bucket/tables").keys() == {"index.parquet.journal"}
    opened.clear()
    assert index(VIDEOS, TABLE).code == 0
    assert opened == [f"{clip}.mp4" for clip in CLIPS[1:]]
    assert index(VIDEOS, TABLE).code == 0 and len(opened) == 2, "unchanged videos are not opened again"
    files = fsspec.filesystem("memory")
    files.pipe_file(f"/bucket/videos/{CLIPS[2]}.mp4", files.cat_file(f"/bucket/videos/{CLIPS[0]}.mp4"))
    assert index(VIDEOS, TABLE).code == 0 and opened[2:] == [f"{CLIPS[2]}.mp4"]


def test_network_failure_ends_the_run(videos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert index(VIDEOS, TABLE).code == 0
    monkeypatch.setattr(remote, "_transfer", lambda *_: 1 / 0)
    (tmp_path / "one").mkdir()
    for outcome in (index(VIDEOS, tmp_path / "new.parquet"), shard(TABLE, tmp_path / "s", "--source.root", VIDEOS)):
        assert outcome.code == 1 and f"{VIDEOS}/{CLIPS[0]}.mp4: cannot be reached" in outcome.err
        assert "run the same command again" in outcome.err
    monkeypatch.undo()
    assert index(VIDEOS, tmp_path / "new.parquet").code == 0
    assert {row["fault"] for row in rows(tmp_path / "new.parquet")} == {""}, "the failure is not remembered"


def test_shards_of_an_index_at_an_address(videos: Path, tmp_path: Path) -> None:
    assert index(VIDEOS, TABLE).code == 0
    assert index(videos, tmp_path / "index.parquet").code == 0
    outcome = shard(TABLE, "memory://bucket/shards", "--source.root", VIDEOS)
    assert outcome.code == 0, outcome.err
    assert shard(tmp_path / "index.parquet", tmp_path / "shards").code == 0
    assert stored("bucket/shards") == contents(tmp_path / "shards")
    for root in ((), ("--source.root", "memory://bucket/video")):
        refused = shard(TABLE, tmp_path / "none", *root)
        assert refused.code == 2 and f"its videos are at addresses ({VIDEOS}/{CLIPS[0]}.mp4)" in refused.err
    assert Index(TABLE, split=None).sample_ids() == list(CLIPS)
    with pytest.raises(ConfigError, match="give the address of their folder"):
        Index(TABLE, split=None).clips()


def test_proposals_are_those_of_a_folder(videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = "memory://bucket/project"
    assert propose(videos, tmp_path / "local").code == 0
    outcome = propose(VIDEOS, out)
    assert outcome.code == 0, outcome.err
    assert f"6 frames of 3 clips in {out}/proposals.parquet" in outcome.out
    one, two = stored("bucket/project"), contents(tmp_path / "local")
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == {"clips.parquet"}
    before = one[f"proposals/{CLIPS[1]}.json"]
    fsspec.filesystem("memory").rm_file(f"/bucket/project/proposals/{CLIPS[1]}.json")
    copied: list[str] = []
    real = remote._transfer
    monkeypatch.setattr(remote, "_transfer", lambda file, path: copied.append(file.name) or real(file, path))
    assert propose(VIDEOS, out).code == 0
    assert copied == [f"{CLIPS[1]}.mp4"] and stored("bucket/project")[f"proposals/{CLIPS[1]}.json"] == before
    assert "proposals of other options" in propose(VIDEOS, out, "--apart_s", 0.3).err
    assert "is not empty and has no project.json" in propose(VIDEOS, "memory://bucket").err
    assert propose(VIDEOS, tmp_path / "downloaded").code == 0
    assert contents(tmp_path / "downloaded").keys() == two.keys()


@pytest.mark.usefixtures("videos")
def test_bad_video_stops_no_other_proposals() -> None:
    files = fsspec.filesystem("memory")
    data = bytearray(files.cat_file(f"/bucket/videos/{CLIPS[1]}.mp4"))
    middle = data.index(b"mdat") + 40
    data[middle : middle + 1500] = bytes(1500)
    files.pipe_file(f"/bucket/videos/{CLIPS[1]}.mp4", bytes(data))
    outcome = propose(VIDEOS, "memory://bucket/project")
    assert outcome.code == 1 and f"{VIDEOS}/{CLIPS[1]}.mp4: damaged" in outcome.err
    assert [name for name in stored("bucket/project") if name.startswith("proposals/")] == [
        f"proposals/{clip}.json" for clip in (CLIPS[0], CLIPS[2])
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--root", "memory://bucket/none", "--out", "x.parquet"), "memory://bucket/none: no video"),
        (("--root", "nothing://bucket", "--out", "x.parquet"), "Protocol not known: nothing"),
        (("--root", "https://me:secret@host/videos", "--out", "x.parquet"), "https://...@host/videos: an address with"),
        (("--root", VIDEOS, "--out", "nothing://bucket/x.parquet"), "Protocol not known: nothing"),
        (("--root", VIDEOS, "--out", "s3://me:secret@bucket/x.parquet"), "s3://...@bucket/: an address with"),
    ],
)
@pytest.mark.usefixtures("videos")
def test_wrong_addresses_are_one_sentence(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = tavlo("data", "index", *words, *FILTER)
    assert outcome.code == 2 and message in outcome.err
    assert "secret" not in outcome.err + outcome.out and "Traceback" not in outcome.err
