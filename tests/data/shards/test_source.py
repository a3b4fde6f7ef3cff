import csv
import io
import json
import os
import signal
import tarfile
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from tavlo_pl.data.clip import Clip
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.data.datamodule import ClipDataModule
from tavlo_pl.data.dataset import ClipDataset, Item
from tavlo_pl.data.shards import write as shard_write
from tavlo_pl.data.shards.format import ShardSpec
from tavlo_pl.data.shards.plan import plan
from tavlo_pl.data.shards.source import Shards
from tavlo_pl.data.shards.write import Written, read_clip, write_shards
from tavlo_pl.engine.local import LocalEngine
from tavlo_pl.errors import ConfigError, DatasetNotFoundError, MediaError, RunFailedError
from tests.helpers.clips import read_number, write_numbered

RATE = 25
SPEC = ShardSpec(segments=2, frames_per_segment=3, duration_s=2.0, image_size=64)
CLIP = ClipSpec(segments=2, duration_s=2.0, image_size=64)
NAMES = [f"{letter * 11}_{number:06d}" for number, letter in enumerate("abcdefg")]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Seven clips of 2 s whose frames carry their number."""
    folder = tmp_path_factory.mktemp("clips")
    for name in NAMES:
        write_numbered(folder / f"{name}.mp4", rate=RATE, click_s=(0.5, 1.2))
    return [Clip(name, folder / f"{name}.mp4", category="dog barking") for name in NAMES]


def write(
    clips: Sequence[Clip], folder: str | Path, spec: ShardSpec = SPEC, workers: int = 1, **options: Any
) -> Written:
    return write_shards(clips, folder, spec, LocalEngine(workers), **{"clips_per_shard": 2, **options})


@pytest.fixture(scope="module")
def shards(clips: list[Clip], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their shards, written by one unbroken run."""
    folder = tmp_path_factory.mktemp("shards") / "whole"
    write(clips, folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dataset(clips: Sequence[Clip], stage: Any, **options: Any) -> ClipDataset:
    return ClipDataset(clips, stage, CLIP, **options)


def assert_alike(stored: Item, read: Item) -> None:
    assert stored.clip.sample_id == read.clip.sample_id
    assert stored.clip.category == read.clip.category
    assert (stored.frames.float() - read.frames.float()).abs().mean() < 6  # black and white bars are hard for JPEG
    assert (stored.waveform - read.waveform).abs().max() <= 0.51 / 32_768


def test_an_evaluated_clip_is_the_same_from_shards(clips: list[Clip], shards: Path) -> None:
    stored, read = dataset(Shards(str(shards)).clips(), "val"), dataset(clips, "val")
    assert len(stored) == len(read) == 7
    for index in (0, 6):
        assert_alike(stored[index], read[index])
        assert stored[index].frame_time.tolist() == read[index].frame_time.tolist()


def test_shards_give_the_stored_frame_next_to_the_drawn_time(clips: list[Clip], shards: Path) -> None:
    stored, read = dataset(Shards(str(shards)).clips(), "train"), dataset(clips, "train")
    moments = np.array([1, 3, 5, 7, 9, 11]) / 6  # three a segment
    kept = np.floor(moments * RATE + 1e-6) / RATE
    seen = set()
    for epoch in range(6):
        one, other = stored[epoch, 3], read[epoch, 3]
        for segment, (shown, wanted) in enumerate(zip(one.frame_time, other.frame_time, strict=True)):
            own = kept[3 * segment : 3 * segment + 3]
            assert min(abs(own - float(shown))) < 1e-6
            assert abs(float(shown) - float(wanted)) <= 1 / 6 + 2 / RATE
            seen.add(round(float(shown), 3))
        assert (one.waveform - other.waveform).abs().max() <= 0.51 / 32_768
        numbers = [read_number(frame.permute(1, 2, 0).numpy()) for frame in one.frames]
        assert numbers == [round(float(time) * RATE) for time in one.frame_time]
        assert (stored[epoch, 3].frames == one.frames).all()
    assert len(seen) > 3


def test_shards_of_killed_runs_are_identical(
    clips: list[Clip], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def dies(spec: ShardSpec, clip: Clip) -> pa.RecordBatch:
        if len(read) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        read.append(clip.sample_id)
        return read_clip(spec, clip)

    with monkeypatch.context() as patch:
        patch.setattr(shard_write, "read_clip", dies)
        process = get_context("fork").Process(target=write, args=(clips, tmp_path / "killed"))
        process.start()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert {"shards/00000.parquet", "shards/00001.arrow.part"} <= contents(tmp_path / "killed").keys()
    with pytest.raises(DatasetNotFoundError, match="no complete set"):
        Shards(str(tmp_path / "killed")).clips()
    monkeypatch.setattr(
        shard_write, "read_clip", lambda spec, clip: (read.append(clip.sample_id), read_clip(spec, clip))[1]
    )
    write(clips, tmp_path / "killed")
    assert read == NAMES[2:]  # the finished shard is not read again
    assert contents(tmp_path / "killed") == contents(shards)


@pytest.mark.slow
def test_workers_change_nothing(clips: list[Clip], shards: Path, tmp_path: Path) -> None:
    write(clips, tmp_path / "out", workers=2)
    assert contents(tmp_path / "out") == contents(shards)


def test_archives_are_read_from_front_to_end(clips: list[Clip], tmp_path: Path) -> None:
    packed, order = tmp_path / "part.tar.gz", [4, 0, 3, 1, 2]
    with tarfile.open(packed, "w:gz") as tar:
        for number in order:
            tar.add(clips[number].path, f"video/{NAMES[number]}.mp4")
    inside = [Clip(name, packed, member=f"video/{name}.mp4") for name in NAMES[:6]]  # one of them is missing
    sources = [*inside, clips[6]]
    assert [(list(job.shards), len(job.clips)) for job in plan(sources, 2)] == [([0], 1), ([1, 2, 3], 6)]
    write(sources, tmp_path / "out", max_bad_share=0.2)
    (shard,) = (pa.ipc.open_file(tmp_path / "out" / "shards" / f"{n:05d}.arrow").read_all() for n in (1,))
    assert shard["sample_id"].to_pylist() == [NAMES[4], NAMES[0]]
    stored = dataset(Shards(str(tmp_path / "out")).clips(), "val")
    assert [clip.sample_id for clip in stored.clips] == [*NAMES[:5], NAMES[6]]
    assert_alike(stored[2], dataset([Clip(clips[2].sample_id, clips[2].path)], "val")[0])
    (bad,) = rows(tmp_path / "out")
    assert bad[0] == NAMES[5] and "not in the archive" in bad[1]

    whole = contents(tmp_path / "out")
    for name in ("shards/00001.parquet", "shards/00003.parquet", "index.parquet"):
        (tmp_path / "out" / name).unlink()
    write(sources, tmp_path / "out", max_bad_share=0.2)
    assert contents(tmp_path / "out") == whole


def rows(folder: Path) -> list[list[str]]:
    with (folder / "bad_clips.csv").open(newline="") as lines:
        header, *rest = csv.reader(lines)
    assert header == ["sample_id", "reason"]
    return rest


def test_unreadable_clips_are_listed_and_too_many_end_the_run(clips: list[Clip], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(clips[0].path.read_bytes()[:2000])
    write_numbered(tmp_path / "mute.mp4", audio=False)
    broken = [Clip("broken", tmp_path / "broken.mp4"), Clip("mute", tmp_path / "mute.mp4")]
    with pytest.raises(
        RunFailedError, match=r"1 of 9 clips cannot be read, more than --max_bad_share .*broken"
    ) as caught:
        write([broken[0], *clips, broken[1]], tmp_path / "out")
    assert caught.value.exit_code == 1
    assert [name for name, _ in rows(tmp_path / "out")] == ["broken"]
    done = write([broken[0], *clips, broken[1]], tmp_path / "out", max_bad_share=0.25)
    assert (done.clips, done.bad) == (9, 2)
    assert [name for name, _ in rows(tmp_path / "out")] == ["broken", "mute"]
    assert "no audio stream" in rows(tmp_path / "out")[1][1]
    assert [clip.sample_id for clip in Shards(str(tmp_path / "out")).clips()] == NAMES


def test_shards_are_read_from_object_storage(shards: Path, tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    for name, content in contents(shards).items():
        files.pipe(f"/bucket/{name}", content)
    (tmp_path / "ids.txt").write_text(f"{NAMES[1]}\n{NAMES[5][:11]}\n")
    remote = dataset(Shards("memory://bucket", ids=str(tmp_path / "ids.txt")).clips(), "val")
    local = dataset(Shards(str(shards)).clips(), "val")
    assert [clip.sample_id for clip in remote.clips] == [NAMES[1], NAMES[5]]
    assert (remote[1].frames == local[5].frames).all()
    with pytest.raises(DatasetNotFoundError, match=r"memory://nowhere/shards\.json: no training shards"):
        Shards("memory://nowhere").check_spec(2, 2.0)


def test_shards_are_written_to_object_storage(clips: list[Clip], shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fsspec.filesystem("memory")

    def written() -> dict[str, bytes]:
        return {path.removeprefix("/out/"): files.cat_file(path) for path in files.find("/out")}

    def stops(spec: ShardSpec, clip: Clip) -> pa.RecordBatch:
        if clip.sample_id == NAMES[4]:
            raise KeyboardInterrupt
        return read_clip(spec, clip)

    monkeypatch.setattr(shard_write, "read_clip", stops)
    with pytest.raises(KeyboardInterrupt):
        write(clips, "memory://out")
    monkeypatch.undo()
    assert {"shards/00001.parquet"} <= written().keys() and "shards/00002.arrow" not in written()
    assert write(clips, "memory://out").clips == 7
    assert written() == contents(shards)
    with pytest.raises(ConfigError, match="memory://out holds shards of another kind"):
        write(clips[:-1], "memory://out")
    with pytest.raises(ConfigError, match="nothing://out: no file system for this address"):
        write(clips, "nothing://out")


def test_a_damaged_or_missing_shard_is_named(shards: Path, tmp_path: Path) -> None:
    for name, content in contents(shards).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "shards" / "00001.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    clips = Shards(str(tmp_path)).clips()
    errors = []
    for clip in clips[2:4]:
        try:
            clip.read([0.5], (64, 64), 2.0)
        except MediaError as error:
            errors.append(str(error))
    assert len(errors) == 1 and errors[0].startswith(f"{path}: clip ") and "checksum" in errors[0]
    path.unlink()
    with pytest.raises(MediaError, match=r"00001\.arrow: clip cccc"):
        clips[2].read_waveform(2.0)


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_takes_each_stored_clip_once_over_processes(
    shards: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    seen: dict[int, str] = {}
    for rank in range(2):
        monkeypatch.setattr(ClipDataModule, "_rank_and_world", lambda self, rank=rank: (rank, 2))
        data = ClipDataModule(val=Shards(str(shards)), clip=CLIP, batch_size=3, num_workers=workers)
        data.setup("validate")
        batches = list(data.val_dataloader())
        assert sum(len(batch["sample_id"]) for batch in batches) == 4  # one clip comes twice, under the same index
        for batch in batches:
            seen |= dict(zip(batch["index"].tolist(), batch["sample_id"], strict=True))
    assert seen == dict(enumerate(NAMES))


@pytest.mark.parametrize(
    ("parts", "duration_s", "fits"), [(2, 2.0, True), (6, 2.0, True), (3, 2.0, False), (4, 2.0, False), (2, 1.0, False)]
)
def test_segments_need_stored_frames_of_their_own(shards: Path, parts: int, duration_s: float, fits: bool) -> None:
    if fits:
        Shards(str(shards)).check_spec(parts, duration_s)
    else:
        with pytest.raises(ConfigError, match=f"do not fit data.clip.segments {parts}"):
            Shards(str(shards)).check_spec(parts, duration_s)


def test_frames_can_keep_their_shape(clips: list[Clip], tmp_path: Path) -> None:
    write(clips[:1], tmp_path / "out", ShardSpec(2, 1, 2.0, longest_side=48))
    (clip,) = Shards(str(tmp_path / "out")).clips()
    assert clip.read([0.5, 1.5], None, 2.0).frames.shape == (2, 32, 48, 3)  # type: ignore[arg-type]
    assert clip.read([0.5, 1.5], (64, 64), 2.0).frames.shape == (2, 64, 64, 3)


def test_a_folder_of_other_shards_is_refused(clips: list[Clip], shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"another spec: .*shards\.json"):
        write(clips, shards, ShardSpec(2, 5, 2.0, image_size=64))
    with pytest.raises(ConfigError, match="another clips, list_sha256"):
        write(clips[:-1], shards)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ConfigError, match="not empty"):
        write(clips, tmp_path)
    with pytest.raises(ConfigError, match="must be odd"):
        ShardSpec(frames_per_segment=2)


def test_other_libraries_read_a_shard(shards: Path) -> None:
    with io.BytesIO((shards / "shards" / "00000.arrow").read_bytes()) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table["sample_id"].to_pylist() == NAMES[:2]
    assert len(table["waveform"][1]) == 32_000
    assert json.loads((shards / "shards.json").read_text())["spec"]["segments"] == 2
