"""Is each kind of list read as what it is, and is what is wrong with its files found?"""

import json
from pathlib import Path

import pytest

from tavlo_pl.data.audit.files import Side, check_files, read_listing, report
from tavlo_pl.errors import AnnotationError, DatasetNotFoundError, TavloError
from tests.helpers.clips import write_numbered
from tests.helpers.trees import instance, write_avatar, write_vggsound

A, B, C = "aaaaaaaaaaa", "b-_b1bbbbb_", "ccccccccccc"


def test_a_text_list_may_name_ids_or_clips(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{A}_000020\n\n{B}\r\n {C}_00030 \n{A}_00020\n")
    listing = read_listing(path, "train")
    assert listing.kind == "list of ids"
    assert listing.clips == {(A, 20): f"{A}_000020", (B, None): B, (C, 30): f"{C}_00030"}
    assert listing.repeated == {f"{A}_000020": 2}
    assert (listing.videos, listing.other_names, listing.missing) == (3, 0, None)


@pytest.mark.parametrize(("side", "start"), [("train", "000020"), ("test", "000007")])
def test_of_a_table_the_split_of_its_side_counts(tmp_path: Path, side: Side, start: str) -> None:
    path = tmp_path / "vggsound.csv"
    path.write_text(f'{A},20,"bird chirping, tweeting",train\n{A},7,dog,test\n')
    listing = read_listing(path, side)
    assert (listing.kind, listing.names) == (f"VGGSound, {side} split", (f"{A}_{start}",))


@pytest.mark.parametrize("side", ["train", "test"])
def test_the_table_of_the_test_split_counts_on_either_side(tmp_path: Path, side: Side) -> None:
    path = tmp_path / "vggsound_test.csv"
    path.write_text(f"{A}_000020.mp4,dog\n")
    assert read_listing(path, side).names == (f"{A}_000020",)
    assert read_listing(path, side).kind == "VGGSound, test split"


def test_vggss_is_read_for_its_names(tmp_path: Path) -> None:
    path = tmp_path / "vggss.json"
    path.write_text(json.dumps([{"file": f"{A}_000020", "class": "dog", "bbox": []}, {"file": f"{B}_000001"}]))
    assert read_listing(path, "test").names == (f"{A}_000020", f"{B}_000001")


def test_avatar_is_known_by_its_root_and_its_metadata(tmp_path: Path) -> None:
    clips = {f"{A}_00020": {"00003": [instance()]}, f"{B}_00001": {"00003": [instance()]}}
    write_avatar(tmp_path, clips, empty=True)
    (tmp_path / "video" / f"{B}_00001.mp4").unlink()
    for path in (tmp_path, tmp_path / "metadata"):
        listing = read_listing(path, "test")
        assert (listing.kind, listing.names) == ("AVATAR", (f"{A}_00020", f"{B}_00001"))
        assert listing.missing == [f"{B}_00001"]
        assert listing.metadata == tmp_path / "metadata"
    (tmp_path / "video").rename(tmp_path / "elsewhere")
    assert read_listing(tmp_path, "test").missing is None
    assert read_listing(tmp_path, "test", tmp_path / "elsewhere").missing == [f"{B}_00001"]


def test_a_folder_is_known_by_its_table_or_its_videos(tmp_path: Path) -> None:
    write_vggsound(tmp_path, [f"{A}_000020", f"{B}_000001"], empty=True)
    (tmp_path / f"{B}_000001.mp4").unlink()
    listing = read_listing(tmp_path, "train")
    assert (listing.kind, listing.missing) == ("VGGSound, train split", [f"{B}_000001"])
    (tmp_path / "vggsound.csv").unlink()
    (tmp_path / "part").mkdir()
    for name in (f"{A}_00020", "dog_1"):
        (tmp_path / "part" / f"{name}.mp4").touch()
    listing = read_listing(tmp_path, "train")
    assert (listing.kind, listing.names) == ("folder of videos", (f"{A}_000020", f"{A}_00020", "dog_1"))
    assert listing.repeated == {f"{A}_000020": 2}
    assert (listing.videos, listing.other_names, listing.missing) == (2, 1, [])


def test_listing_id_without_start_matches_any_clip(tmp_path: Path) -> None:
    write_vggsound(tmp_path / "videos", [f"{A}_000020"], empty=True)
    (tmp_path / "list.txt").write_text(f"{A}\n{B}\n")
    listing = read_listing(tmp_path / "list.txt", "train", tmp_path / "videos")
    assert list(listing.found) == [A]
    assert listing.missing == [B]


@pytest.mark.parametrize(
    ("name", "content", "error", "told"),
    [
        ("list.txt", b"one two\n", AnnotationError, "line 1: expected one id"),
        ("list.txt", b"\xff\xfe\x00", AnnotationError, "no text in UTF-8"),
        ("list.txt", b"\n", DatasetNotFoundError, "no clip in it"),
        ("vggsound.csv", b"a,b,c\n", AnnotationError, "line 1: expected youtube_id"),
        ("vggss.json", b'[{"name": "x"}]', AnnotationError, r"entry 0\.file must be a name"),
        ("vggss.json", b"{", AnnotationError, "no JSON file"),
        ("nothing", None, DatasetNotFoundError, "--test .*nothing: nothing there"),
        ("folder", None, DatasetNotFoundError, "no clip in it"),
    ],
)
def test_what_names_no_clips_is_refused(
    tmp_path: Path, name: str, content: bytes | None, error: type[TavloError], told: str
) -> None:
    (tmp_path / "folder").mkdir()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=told):
        read_listing(tmp_path / name, "test")


def test_what_is_wrong_with_files_is_found(tmp_path: Path) -> None:
    write_vggsound(tmp_path, [f"{A}_{start}" for start in range(1, 8)], empty=True)
    write_numbered(tmp_path / f"{A}_1.mp4", seconds=2.0)
    write_numbered(tmp_path / f"{A}_2.mp4", seconds=2.0, audio=False)
    write_numbered(tmp_path / f"{A}_3.mp4", seconds=1.2)
    write_numbered(tmp_path / f"{A}_4.mp4", seconds=2.0, video=False)
    write_numbered(tmp_path / f"{A}_5.mp4", seconds=2.0, audio_start_s=0.8)
    (tmp_path / f"{A}_6.mp4").write_text("<html>gone</html>")
    (tmp_path / f"{A}_7.mp4").unlink()
    listing = read_listing(tmp_path, "train")
    done: list[None] = []
    found = report(listing, check_files(listing, lambda: done.append(None)), duration_s=2.0)
    name = f"{A}_{{:06d}}".format
    assert len(done) == found["files"] == 6
    assert found["missing"] == [name(7)]
    assert found["without_sound"] == [name(2)]
    assert set(found["unreadable"]) == {name(4), name(6)}
    assert "no video stream" in found["unreadable"][name(4)]
    assert set(found["wrong_duration"]) == {name(3), name(5)}
    assert found["wrong_duration"][name(3)]["video_s"] == pytest.approx(1.2, abs=0.01)
    assert found["wrong_duration"][name(5)]["audio_s"] == pytest.approx(2.8, abs=0.1)
    assert found["frames"] is None
