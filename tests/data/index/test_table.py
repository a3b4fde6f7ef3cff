"""`Index`: the clips of an index, made when they are asked for."""

import json
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tavlo_pl.data.audit.files import read_listing
from tavlo_pl.data.clip import Clip
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.dataset import ClipDataset
from tavlo_pl.data.index.probe import File, Probed, probe_video
from tavlo_pl.data.index.select import Filter, make_rows
from tavlo_pl.data.index.table import Index, Row, write_index
from tavlo_pl.data.media import MemoryFile
from tavlo_pl.errors import AnnotationError, ConfigError, DatasetNotFoundError
from tests.helpers.cli import tavlo
from tests.helpers.clips import write_numbered

A, B, C = "aaaaaaaaaaa_000001", "bbbbbbbbbbb_000002", "ccccccccccc_000003"


def row(name: str, split: str | None = "train", path: str | None = None, **fields: object) -> Row:
    """A clip that was taken."""
    member = fields.pop("member", None)
    probed = Probed(
        File(path or f"/clips/{name}.mp4", 900_000, 1), member, "", 900_000, 10.0, 10.0, 640, 360, 30.0, 300
    )
    return Row(name, probed, "dog", split, **fields)


def write(path: Path, rows: Iterable[Row]) -> str:
    write_index(path, rows, {})
    return str(path)


def test_the_clips_of_a_split_sorted_without_those_left_out(tmp_path: Path) -> None:
    path = write(
        tmp_path / "index.parquet",
        [row(C), row(A, member="part/a.mp4", path="/p.tar"), row(B, "test"), row("d", reason="empty: it is empty")],
    )
    clips = Index(path).clips()
    first = Clip(A, Path("/p.tar"), category="dog", member="part/a.mp4")
    last = Clip(C, Path(f"/clips/{C}.mp4"), category="dog")
    assert list(clips) == [first, last] == [clips[0], clips[1]] == [clips[-2], clips[-1]]
    assert list(clips[1:]) == [last]
    assert len(clips) == 2
    assert clips.sample_ids() == Index(path).sample_ids() == [A, C]
    with pytest.raises(IndexError):
        clips[2]
    assert Index(path, split="test").sample_ids() == [B]
    assert Index(path, split=None).sample_ids() == [A, B, C]
    (tmp_path / "ids.txt").write_text(f"{C}\n{B[:11]}\n")
    assert Index(path, ids=str(tmp_path / "ids.txt")).sample_ids() == [C]
    assert Index(path, split=None, ids=str(tmp_path / "ids.txt")).sample_ids() == [B, C]


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"none\.parquet: no such index; make it with tavlo data index"):
        Index(str(tmp_path / "none.parquet")).clips()
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(AnnotationError, match="no index of tavlo data index"):
        Index(str(tmp_path / "text.parquet")).clips()
    path = write(tmp_path / "index.parquet", [row(A, None)])
    with pytest.raises(DatasetNotFoundError, match="none of its 1 videos is a clip of split train"):
        Index(path).clips()
    Index(write(tmp_path / "plain.parquet", [row(A, path="/p.tar", member="a.mp4")])).check_spec(10, 10.0)
    packed = write(tmp_path / "packed.parquet", [row(A, path="/p.tar.gz", member="a.mp4")])
    with pytest.raises(ConfigError, match=r"compressed archives \(/p\.tar\.gz\).*write shards of them"):
        Index(packed).check_spec(10, 10.0)


def test_200_000_clips_load_at_once_and_stay_small(tmp_path: Path) -> None:
    names = [f"{n:011d}_{n % 600:06d}" for n in range(200_000)]
    path = tmp_path / "index.parquet"
    write_index(path, [row(names[0])], {})
    table = pq.read_table(path)  # 200,000 rows of ours would take seconds to make
    columns = {name: table[name].to_pylist() * len(names) for name in table.column_names} | {"sample_id": names}
    pq.write_table(type(table).from_pydict(columns, table.schema), path)
    del columns, table
    tracemalloc.start()
    start_s = time.process_time()
    clips = Index(str(path)).clips()
    dataset = ClipDataset(clips, "train")
    taken_s = time.process_time() - start_s
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(dataset) == 200_000
    assert dataset.entries[199_999].clip.sample_id == names[-1]
    assert dataset.entries[199_999].number == 199_999
    assert taken_s < 2
    assert peak_bytes < 10e6, "not an object a clip"


def test_fit_reads_an_index_and_refuses_a_leak(tmp_path: Path) -> None:
    for name in (A, B):
        write_numbered(tmp_path / f"{name}.mp4", seconds=1.0, rate=10)
    rows = [row(A, path=str(tmp_path / f"{A}.mp4")), row(B, "test", path=str(tmp_path / f"{B}.mp4"))]
    path = write(tmp_path / "index.parquet", rows)
    clip = ClipSpec(segments=2, duration_s=1.0, image_size=16)
    options: dict[str, Any] = {"clip": clip, "batch_size": 1, "num_workers": 0}
    data = ClipDataModule(train=Index(path), val=Index(path, split="test"), **options)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch["sample_id"] == [A]
    with pytest.raises(ConfigError, match=f"the same videos as 1 of the 2 clips of data.val, 1 of them exactly \\({A}"):
        ClipDataModule(train=Index(path), val=Index(path, split=None), **options).setup("fit")


def test_an_audit_of_an_index(tmp_path: Path) -> None:
    write_numbered(tmp_path / f"{A}.mp4", seconds=1.0)
    rows = [row(A, path=str(tmp_path / f"{A}.mp4")), row(B, "test"), row(C, reason="empty: it is empty")]
    path = Path(write(tmp_path / "index.parquet", rows))
    (tmp_path / "test.txt").write_text(f"{A}\n{C}\n")
    lists = ["--train", path, "--test", tmp_path / "test.txt", "--out", tmp_path / "audit"]
    outcome = tavlo("data", "audit", *lists, "--duration_s", 1)
    assert outcome.code == 0, outcome.err
    found = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert (found["train"]["kind"], found["train"]["clips"], found["train"]["files"]) == ("index, train split", 1, 1)
    assert found["overlap"]["exact"] == [A]
    assert read_listing(path, "test").names == (B,)
    unsplit = read_listing(Path(write(tmp_path / "no_split.parquet", [row(A, None, "/p.tar", member="a.mp4")])), "test")
    assert (unsplit.kind, unsplit.names, unsplit.files) == ("index", (A,), None)


def test_no_damage_is_more_than_a_fault(tmp_path: Path) -> None:
    """A transport stream with a changed byte may name streams that its headers do not."""
    whole, faults = write_numbered(tmp_path / "clip.ts").path.read_bytes(), set()
    for seed in range(120):
        rng, damaged = np.random.default_rng(seed), bytearray(whole)
        for position in rng.integers(0, len(whole), 12):
            damaged[position] = rng.integers(256)
        probed = probe_video(Probed(File("clip.ts", 1, 1)), MemoryFile("clip.ts", bytes(damaged)))
        faults.add(probed.fault)
    assert "" in faults
    assert any("a stream begins in the middle" in fault for fault in faults)


def test_the_filter_at_its_limits() -> None:
    accept = Filter(200, 300, 10.0, 640, None)

    def kind(**fields: object) -> str:
        known = {"video_s": 10.0, "audio_s": 10.0, "width": 640, "height": 360, "frame_count": 300}
        return accept.reason(Probed(File("a.mp4", 1, 1), **known | fields)).partition(":")[0]

    assert [kind(frame_count=count) for count in (199, 200, 300, 301)] == ["frames", "", "", "frames"]
    assert [kind(video_s=end) for end in (9.49, 9.51, 10.49, 10.51)] == ["duration", "", "", "duration"]
    assert [kind(audio_s=end) for end in (None, 9.49, 9.51, 12.0)] == ["", "sound ends early", "", ""]
    assert [kind(width=640), kind(width=426), kind(height=480)] == ["", "size", ""]
    assert kind(fault="empty: it is", width=None) == "empty"


def test_a_draw_takes_no_test_clip_and_all_where_there_are_fewer() -> None:
    videos = [row(name).probed for name in (A, B, C)]
    labels = {(A[:11], 1): ("dog", "train"), (B[:11], 2): ("dog", "test"), (C[:11], 3): ("cat", "train")}
    for count, taken in ((1, 2), (2, 3), (9, 3)):
        rows = make_rows(videos, Filter(1, 300, 10.0, None, None), labels, {}, None, count, seed=0)
        assert sum(not row.reason for row in rows) == taken
        assert rows[1].split == "test"
        assert not rows[1].reason
