"""YAML, annotations, lists and tables with values that no such file has."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tavlo_pl.config import security
from tavlo_pl.data.clip_ids import read_ids
from tavlo_pl.data.datasets.avatar import AVATAR
from tavlo_pl.data.datasets.flickr import FlickrSoundNet
from tavlo_pl.data.datasets.vggsound import read_table
from tavlo_pl.data.datasets.vggss import VGGSS
from tavlo_pl.errors import ConfigError, TavloError
from tests.helpers.cli import tavlo
from tests.helpers.hostile import refusal
from tests.helpers.trees import instance

YAML = {
    "base 60": "a: " + "1:" * 500_000 + "1",
    "digits": "a: " + "9" * 4_500,
    "many digits": "a: " + "9" * 1_000_000,
    "quoted digits": "a: '" + "9" * 4_500 + "'\nb: " + "8" * 10_000,
    "underscores": "a: " + "1_" * 100_000,
    "float of digits": "a: 0." + "9" * 100_000,
    "hexadecimal": "a: 0x" + "f" * 100_000,
    "binary": "a: 0b" + "1" * 100_000,
    "octal": "a: 0" + "7" * 100_000,
    "long key": "? " + "a" * 10_000 + "\n: 1",
    "deep": "a: " + "[" * 2_000,
    "deep maps": "{a: " * 2_000,
    "deep block": "".join(" " * n + "-\n" for n in range(500)),
    "many values": "a: [" + "1," * 200_000 + "1]",
    "alias of itself": "a: &a [*a]",
    "unknown alias": "a: *b",
    "bomb": "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) or 1}]\n" if n else "a0: &a0 [1]\n" for n in range(12)
    ),
    "python object": "!!python/object:os.system {}",
    "python name": "a: !!python/name:os.system",
    "python tuple": "a: !!python/tuple [1]",
    "unknown tag": "a: !x 1",
    "tag of a set": "a: !!timestamp x",
    "two documents": "a: 1\n---\nb: 2",
    "control character": "a: \x01",
    "null character": "a: \0b",
    "escape": "a: \x1b[2J",
    "half a pair": 'a: "\\ud800"',
    "tab": "a:\n\t- 1",
    "unclosed": "a: [1",
    "unclosed text": "a: 'b",
    "wrong indent": "a:\n  b\n c: 1",
    "key is a list": "? [1]\n: 2",
    "key is a map": "? {a: 1}\n: 2",
    "merge of a number": "a:\n  <<: 3",
    "merge of itself": "a: &a\n  <<: *a",
    "wrong date": "a: !!timestamp 2026-99-99",
    "wrong integer": "a: !!int x",
    "wrong float": "a: !!float x",
    "wrong bool": "a: !!bool x",
    "directive": "%YAML 9.9\n---\na",
    "reserved": "a: @b",
    "backtick": "a: `b",
}
VALUES: dict[str, Any] = {
    "null": None,
    "true": True,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "minus infinite": float("-inf"),
    "huge": 1e300,
    "long": 10**400,
    "negative": -1,
    "text": "x",
    "empty text": "",
    "list": [],
    "map": {},
    "nested": [[[[[1]]]]],
    "a pair": [1, 2],
    "half a pair": "\ud800",
}
FIELDS = (
    "original_width",
    "original_height",
    "annotations",
    "instance",
    "task",
    "audio_visual_category",
    "segmentation",
    "bbox",
)
ALLOWED = {
    ("segmentation", "null"),
    ("segmentation", "list"),
    ("bbox", "null"),
    ("bbox", "list"),
    ("audio_visual_category", "text"),
    ("annotations", "list"),
    ("audio_visual_category", "null"),
    ("audio_visual_category", "empty text"),
    ("bbox", "map"),
    ("bbox", "text"),
}


def read_yaml(text: str) -> None:
    try:
        security.read_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the configuration cannot be read: {error}") from error


@pytest.mark.parametrize("text", YAML.values(), ids=YAML)
def test_yaml_is_refused_soon(text: str) -> None:
    assert refusal(lambda: read_yaml(text))


def test_command_refuses_yaml_in_one_line(tmp_path: Path) -> None:
    for name in ("base 60", "digits", "deep", "half a pair"):
        (tmp_path / "a.yaml").write_text(YAML[name])
        outcome = tavlo("data", "audit", "--config", tmp_path / "a.yaml")
        assert outcome.code == 2 and outcome.err.count("\n") == 1, outcome.err


def write_record(folder: Path, record: Any) -> None:
    path = folder / "metadata" / "abcdefghijk_00010" / "00003.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize("field", FIELDS)
def test_annotation_with_odd_value_is_refused(tmp_path: Path, field: str) -> None:
    for name, value in VALUES.items():
        record: dict[str, Any] = {"original_width": 96, "original_height": 64, "annotations": [instance()]}
        if field in record:
            record[field] = value
        elif field == "instance":
            record["annotations"] = [value]
        else:
            geometry = {"segmentation": None} if field == "bbox" else {}
            record["annotations"] = [instance(**geometry) | {field: value}]
        write_record(tmp_path, record)
        if (field, name) not in ALLOWED:
            assert "00003.json" in refusal(lambda: AVATAR(str(tmp_path), videos=False).clips()), (field, name)


@pytest.mark.parametrize("field", ["file", "class", "bbox", "entry", "list"])
def test_list_with_odd_value_is_refused(tmp_path: Path, field: str) -> None:
    for name, value in VALUES.items():
        entry: Any = {"file": "v_000010", "class": "dog", "bbox": [[0.1, 0.2, 0.6, 0.7]]}
        entries: Any = value if field == "list" else [value if field == "entry" else entry | {field: value}]
        (tmp_path / "vggss.json").write_text(json.dumps(entries))
        if (field, name) not in {("file", "text"), ("class", "text"), ("bbox", "list")}:
            assert "vggss.json" in refusal(lambda: VGGSS(str(tmp_path / "vggss.json")).clips()), (field, name)


TEXTS = {
    "half a pair": b'[{"file": "\\ud800", "class": "dog", "bbox": [[0, 0, 1, 1]]}]',
    "other half": b'[{"file": "a\\uDFFFb"}]',
    "not UTF-8": b'["\xff"]',
    "UTF-16": '["a"]'.encode("utf-16"),
    "zeros": bytes(1000),
    "deep": b"[" * 100_000,
    "digits": b"9" * 5_000,
    "empty": b"",
    "unclosed": b'[{"file": ',
    "two values": b"[] []",
    "comment": b"// a\n[]",
    "key twice": b'{"a": 1, "a": 2}',
    "NaN": b"NaN",
    "page": b"<html></html>",
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS)
def test_text_that_is_no_list_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vggss.json").write_bytes(content)
    assert "vggss.json" in refusal(lambda: VGGSS(str(tmp_path / "vggss.json")).clips())


EDGE = (
    "<annotation><object><bbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bbox></object></annotation>"
)
XML = {
    value: EDGE.format(value).encode()
    for value in ("", "x", "1.5", "NaN", "inf", "9" * 5_000, "<a/>", "&lt;", "0x1", "1e3", "1 2")
} | {
    "empty": b"",
    "text": b"x",
    "unclosed": b"<a>",
    "unknown encoding": b"<?xml version='1.0' encoding='x'?><a/>",
    "no boxes": b"<a/>",
    "laughs": b"<!DOCTYPE a [<!ENTITY b 'bb'>"
    + b"".join(b"<!ENTITY b%d '%s'>" % (n, b"&b%d;" % (n - 1) * 10 if n else b"&b;" * 10) for n in range(9))
    + b"]><a>&b8;</a>",
    "outer entity": b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
    "deep": b"<a>" * 100_000,
    "UTF-7": b"<?xml version='1.0' encoding='utf-7'?><a/>",
    "2 MiB": b"<a>" + b" " * 2**21 + b"</a>",
    "zeros": bytes(100),
    "not UTF-8": b"<a>\xff</a>",
}


@pytest.mark.parametrize("content", XML.values(), ids=[name[:20] or "no number" for name in XML])
def test_boxes_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "1.xml").write_bytes(content)
    assert "1.xml" in refusal(lambda: FlickrSoundNet(str(tmp_path)).clips())


CSV = {
    "empty": b"",
    "zeros": bytes(50),
    "not UTF-8": b"abcdefghijk,10,d\xff,train\n",
    "UTF-16": "a,10,dog,train".encode("utf-16"),
    "one column": b"abc\n",
    "start is a text": b"abcdefghijk,x,dog,train\n",
    "start is NaN": b"abcdefghijk,nan,dog,train\n",
    "start is long": b"abcdefghijk," + b"9" * 5_000 + b",dog,train\n",
    "unclosed": b'abcdefghijk,10,"dog,train\n' * 2,
    "long field": b"abcdefghijk,10," + b"d" * 200_000 + b",train\n",
    "null": b"abcdefghijk,10,d\0g,train\n",
    "negative": b"abcdefghijk,-5,dog,train\n",
    "half": b"abcdefghijk,1.5,dog,train\n",
    "no id": b",10,dog,train\n",
}


@pytest.mark.parametrize("content", CSV.values(), ids=CSV)
def test_table_with_odd_row_raises_nothing_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with suppress(TavloError):
        json.dumps([str(row) for row in read_table(tmp_path / "a.csv")], allow_nan=False).encode()


def test_list_of_ids_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for content in (b"\xff\xfe", "é".encode("latin1"), "abc".encode("utf-16"), b"abc\n\x80"):
        (tmp_path / "ids.txt").write_bytes(content)
        assert "ids.txt" in refusal(lambda: read_ids(tmp_path / "ids.txt"))
