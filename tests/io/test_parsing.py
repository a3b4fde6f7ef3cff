"""Texts of editors and spreadsheets: byte-order marks, line ends, other encodings."""

import json
from pathlib import Path

import pytest

from tavlo_pl.data.clip_ids import read_ids
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.vggsound import read_table
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.parsing import read_json, read_text
from tests.helpers.trees import instance, write_annotation

A, B = "aaaaaaaaaaa", "bbbbbbbbbbb"


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfone\ntwo\n", b"\xef\xbb\xbfone\r\ntwo\r\n", b"one\n\xef\xbb\xbftwo\n", b"one\rtwo\r"]
)
def test_read_text_drops_marks_and_unifies_line_ends(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    assert read_text(tmp_path / "list.txt") == "one\ntwo\n"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_read_text_names_utf_16(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("\ufeffone\n" if encoding.endswith("be") else "one\n", encoding)
    with pytest.raises(AnnotationError, match=r"list\.txt: the text is in UTF-16; save it as UTF-8"):
        read_text(tmp_path / "list.txt")


def test_lists_and_annotations_with_a_mark_are_read(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text(f"{A}_000001\n{B}\n", "utf-8-sig")
    assert read_ids(tmp_path / "ids.txt") == {(A, 1), (B, None)}
    (tmp_path / "table.csv").write_text(f"{A},1,dog,train\n{B},2,cat,test\n", "utf-8-sig")
    assert read_table(tmp_path / "table.csv") == [((A, 1), "dog", "train"), ((B, 2), "cat", "test")]
    (tmp_path / "vggss.json").write_text(json.dumps([{"file": A, "class": "dog", "bbox": []}]), "utf-8-sig")
    assert [clip.sample_id for clip in VGGSS(str(tmp_path / "vggss.json")).clips()] == [A]
    path = write_annotation(tmp_path, f"{A}_00001", "00003", [instance()])
    path.write_text(path.read_text(), "utf-8-sig")
    assert read_json(path)["original_width"] == 96
    (clip,) = AVATAR(str(tmp_path), videos=False).clips()
    assert [frame.number for frame in clip.annotations] == [3]
