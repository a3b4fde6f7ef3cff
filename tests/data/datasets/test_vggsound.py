from pathlib import Path

import pytest

from tavlo_pl.data.datasets.vggsound import VGGSound, read_table
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError
from tests.helpers.shared import shared_file
from tests.helpers.trees import write_vggsound

NAMES = ["---g-f_I2yQ_000001", "-0jeONf82dE_000021", "l_7B1wnTNtA_000020"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_vggsound(tmp_path / "vggsound", NAMES, empty=True)


def test_clips_are_sorted_and_labelled(root: Path) -> None:
    clips = VGGSound(str(root)).clips()
    assert [clip.sample_id for clip in clips] == NAMES
    assert {clip.category for clip in clips} == {"bird chirping, tweeting"}
    assert clips[0].path == root / f"{NAMES[0]}.mp4"
    assert clips[0].annotations == ()


def test_starts_are_compared_as_numbers_and_folders_searched(root: Path) -> None:
    (root / "part_3").mkdir()
    (root / f"{NAMES[2]}.mp4").rename(root / "part_3" / "l_7B1wnTNtA_00020.mp4")
    assert [clip.sample_id for clip in VGGSound(str(root)).clips()] == [*NAMES[:2], "l_7B1wnTNtA_00020"]


def test_the_split_is_kept(root: Path) -> None:
    (root / "vggsound.csv").write_text('---g-f_I2yQ,1,dog,test\n-0jeONf82dE,21,"a, b",train\nl_7B1wnTNtA,20,c,train\n')
    assert [clip.category for clip in VGGSound(str(root)).clips()] == ["a, b", "c"]
    assert [clip.category for clip in VGGSound(str(root), split="test").clips()] == ["dog"]
    assert len(VGGSound(str(root), split=None).clips()) == 3


def test_ids_choose_within_the_split(root: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("l_7B1wnTNtA_00020\n---g-f_I2yQ\nnot_therexx_000001\n")
    assert [clip.sample_id for clip in VGGSound(str(root), ids=str(ids)).clips()] == [NAMES[0], NAMES[2]]


def test_a_start_may_have_any_separator_around_it(tmp_path: Path) -> None:
    table = tmp_path / "vggsound.csv"
    table.write_bytes(b"l_7B1wnTNtA, 20\x1c,dog,train\n")
    assert read_table(table) == [(("l_7B1wnTNtA", 20), "dog", "train")]


def test_missing_files_are_counted_and_never_an_error(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    (root / f"{NAMES[1]}.mp4").unlink()
    assert len(VGGSound(str(root)).clips()) == 2
    assert "1 of 3 clips have no file (-0jeONf82dE_21" in caplog.text


def test_files_without_a_table(root: Path) -> None:
    (root / "vggsound.csv").unlink()
    assert [clip.sample_id for clip in VGGSound(str(root), split=None).clips()] == NAMES
    with pytest.raises(DatasetNotFoundError, match=r"vggsound\.csv: no such table.*split: null"):
        VGGSound(str(root)).clips()


def test_missing_folders_and_empty_choices_say_what_was_expected(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="no such folder"):
        VGGSound(str(tmp_path / "none")).clips()
    with pytest.raises(DatasetNotFoundError, match="none of the 0 clips of split test"):
        VGGSound(str(root), split="test").clips()
    with pytest.raises(DatasetNotFoundError, match=r"none\.csv"):
        VGGSound(str(root), csv=str(tmp_path / "none.csv"), split=None).clips()


@pytest.mark.parametrize("row", ["youtube_id,start_seconds,label,split", "a,1,b,validation", "a,1,b, c,train", "x"])
def test_an_unreadable_row_is_named(root: Path, row: str) -> None:
    with (root / "vggsound.csv").open("a") as table:
        table.write(row + "\n")
    with pytest.raises(AnnotationError, match=r"vggsound\.csv, line 4: expected"):
        VGGSound(str(root)).clips()


def test_the_official_test_list() -> None:
    rows = read_table(shared_file("data", "vggsound_test.csv"))
    assert len(rows) == 15_446
    assert rows[0] == (("glLQrEijrKg", 300), "playing hammond organ", "test")
    assert len({key for key, _, _ in rows}) == 15_446
