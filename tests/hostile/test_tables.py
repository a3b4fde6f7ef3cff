"""Parquet files, shards and archives with values and headers that no such file has."""

import io
import json
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tavlo_pl.data.index.table import SCHEMA, Index
from tavlo_pl.data.media import DecodedClip
from tavlo_pl.data.media.archive import members
from tavlo_pl.data.shards.format import ENTRY, ShardSpec, from_record, to_record
from tavlo_pl.data.shards.source import Shards
from tests.helpers.hostile import refusal


def parquet(path: Path, schema: pa.Schema, change: dict[str, Any]) -> None:
    numbers = {field.name: None if field.nullable else "v" if pa.types.is_string(field.type) else 0 for field in schema}
    fixed = {
        "sample_id": "a",
        "path": "a.mp4",
        "shard": 0,
        "offset": 0,
        "bytes": 10,
        "crc32": 1,
        "start_s": 0.0,
        "reason": None,
    }
    row = {name: fixed.get(name, value) for name, value in numbers.items()} | change
    arrays = {name: [value] for name, value in row.items()}
    pq.write_table(pa.table(arrays), path)


PLACES: list[dict[str, Any]] = [
    {name: value}
    for name in ("shard", "offset", "bytes", "crc32", "start_s", "sample_id")
    for value in (-1, 2**62, float("nan"), float("inf"), "x", b"\xff", None, [1], {"a": 1}, True)
    if not (name == "sample_id" and isinstance(value, str | int | float))
    and value is not True
    and not (name in ("offset",) and value == 2**62)
]


@pytest.mark.parametrize("change", PLACES, ids=str)
def test_index_of_shards_is_checked(tmp_path: Path, change: dict[str, Any]) -> None:
    parquet(tmp_path / "index.parquet", pa.schema(list(ENTRY)), change)
    (tmp_path / "shards.json").write_text(
        json.dumps({"spec": {"segments": 3, "frames_per_segment": 1, "duration_s": 2.0}})
    )
    assert "index.parquet" in refusal(lambda: Shards(str(tmp_path)).clips())


@pytest.mark.parametrize("value", [3, b"\xff", None, [1], {"a": 1}, 2.5], ids=str)
def test_index_of_clips_is_checked(tmp_path: Path, value: Any) -> None:
    for name in ("sample_id", "path"):
        parquet(tmp_path / "index.parquet", SCHEMA, {name: value})
        assert "index.parquet" in refusal(lambda: list(Index(str(tmp_path / "index.parquet"), split=None).clips())), (
            name
        )


def test_shard_that_is_changed_is_refused() -> None:
    spec = ShardSpec(segments=2, frames_per_segment=1, duration_s=0.5, image_size=16)
    clip = DecodedClip(np.zeros((2, 16, 16, 3), np.uint8), np.array([0.1, 0.4]), np.zeros(8000, np.float32))
    data = to_record("v_1", "dog", 0.0, spec, clip).serialize().to_pybytes()
    for changed in (
        b"",
        b"x",
        bytes(len(data)),
        data[:-1],
        data[: len(data) // 2],
        data[8:],
        data + data[:100][::-1],
        data[::-1],
    ):
        if changed[: len(data)] != data:
            assert refusal(lambda changed=changed: from_record(changed, zlib.crc32(changed), (0, 1), (8, 8), "a.arrow"))
    assert "a.arrow" in refusal(lambda: from_record(data, 1, (0, 1), (8, 8), "a.arrow"))


def tar(*headers: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for info, content in headers:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def info(name: str = "a.mp4", **fields: Any) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(found, field, value)
    return found


def rows(kind: bytes, count: int) -> bytes:
    """Headers of one kind in a row, each for the next."""
    content = b"20 path=a/b/c/d.mp4\n" if kind in b"xg" else b"a.mp4\0"
    one = info("././@LongLink", type=kind, size=len(content)).tobuf(tarfile.GNU_FORMAT) + content.ljust(512, b"\0")
    return one * count + tar((info(), b"x"))


def sparse(**headers: str) -> bytes:
    return tar(
        (
            info(pax_headers={f"GNU.sparse.{name.replace('_', '.')}": value for name, value in headers.items()}),
            b"x" * 512,
        )
    )


TAR: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "text": lambda: b"x" * 600,
    "zeros cut": lambda: bytes(100),
    "cut": lambda: tar((info(), b"x" * 900))[:800],
    "long names in a row": lambda: rows(b"L", 5_000),
    "long links in a row": lambda: rows(b"K", 5_000),
    "pax headers in a row": lambda: rows(b"x", 5_000),
    "global headers in a row": lambda: rows(b"g", 20_000)[:-1024],
    "sparse 1.0": lambda: sparse(major="1", minor="0", name="a.mp4", realsize="999999999999"),
    "sparse 0.1": lambda: sparse(map="0,1,9,9", size="99999999"),
    "sparse map of texts": lambda: sparse(map="x,y", size="9"),
    "sparse of a text": lambda: sparse(major="1", minor="0", realsize="x"),
    "sparse that is negative": lambda: sparse(map="-1,5", size="-9"),
    "sparse 0.0": lambda: sparse(offset="0", numbytes="1", size="9", numblocks="1"),
    "old sparse": lambda: tar((info(type=b"S"), b"x"), form=tarfile.GNU_FORMAT),
    "size is a text": lambda: tar((info(pax_headers={"size": "x"}), b"x")),
    "size is negative": lambda: tar((info(pax_headers={"size": "-5"}), b"x")),
    "size is huge": lambda: tar((info(pax_headers={"size": "9" * 400}), b"x")),
    "time is a text": lambda: b"\0" + tar((info(), b"x")),
    "name above": lambda: tar((info("../a.mp4"), b"x")),
    "absolute": lambda: tar((info("/a.mp4"), b"x")),
    "link": lambda: tar((info(type=b"2", linkname="/etc/passwd"), b"")),
    "hard link": lambda: tar((info(type=b"1", linkname="b"), b"")),
    "device": lambda: tar((info(type=b"3"), b"")),
    "pipe": lambda: tar((info(type=b"6"), b"")),
    "one name twice": lambda: tar((info(), b"x"), (info("b.mp4"), b"x"), (info(), b"y")),
    "wrong checksum": lambda: tar((info(), b"x")).replace(b"ustar", b"xstar"),
    "not UTF-8": lambda: tar((info("\udcff.mp4"), b"x"), form=tarfile.GNU_FORMAT),
    "gzip of nothing": lambda: b"\x1f\x8b" + bytes(20),
    "bzip2 of nothing": lambda: b"BZh9" + bytes(20),
    "xz of nothing": lambda: b"\xfd7zXZ\0" + bytes(20),
}


@pytest.mark.parametrize("make", TAR.values(), ids=TAR)
def test_archive_that_is_none_is_refused(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "a.tar").write_bytes(make())
    assert "a.tar" in refusal(lambda: list(members(tmp_path / "a.tar")))
