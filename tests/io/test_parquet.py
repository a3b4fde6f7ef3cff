"""Parquet tables: small files that would unpack to large ones are refused before that."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tavlo_pl.io import parquet, parquet_pages
from tavlo_pl.io.parquet import read_columns
from tests.helpers.hostile import limited, refusal

FIELDS = [
    pa.field("name", pa.string(), nullable=False),
    pa.field("note", pa.string()),
    pa.field("size", pa.int64(), nullable=False),
]


def read(path: Path) -> pa.Table:
    return read_columns(path, FIELDS, f"{path}: no table", "make it again.")


def table(rows: int, **columns: Any) -> pa.Table:
    usual = {"name": [f"a{n}" for n in range(rows)], "note": [None] * rows, "size": list(range(rows))}
    return pa.table(usual | columns)


def repeated(rows: int, value: str) -> pa.Array:
    """Equal texts, of which Parquet stores one and a count."""
    return pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()).take(pa.array([0] * rows)), pa.array([value]))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False, "compression": "zstd"},
        {"data_page_version": "2.0", "compression": "gzip"},
        {"version": "1.0"},
        {"store_schema": False},
        {"use_dictionary": False, "column_encoding": {"size": "DELTA_BINARY_PACKED"}},
        {"row_group_size": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("rows", [0, 1, 50])
def test_tables_of_common_writers_are_read(tmp_path: Path, options: dict[str, Any], rows: int) -> None:
    written = table(rows, note=pa.array(["b" if n % 2 else None for n in range(rows)], pa.string()))
    pq.write_table(written.cast(pa.schema(FIELDS)), tmp_path / "a.parquet", **options)
    assert read(tmp_path / "a.parquet").to_pylist() == written.to_pylist()


def test_small_file_that_unpacks_to_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    many = repeated(200_000, "x" * 10_000)  # two GB
    sizes = pa.array([0]).take(pa.array([0] * 200_000))
    monkeypatch.setattr(parquet, "FREE_BYTES", 2**24)
    with limited():
        for columns in ({"name": many, "note": many}, {"name": many.cast(pa.dictionary(pa.int32(), pa.string()))}):
            pq.write_table(pa.table({"note": many, "size": sizes} | columns), path)
            assert path.stat().st_size < 200_000
            assert "texts of more than" in refusal(lambda: read(path))
    pq.write_table(table(1, name=["x" * 2**25]), path, compression="zstd", use_dictionary=False)
    assert "would unpack to more than" in refusal(lambda: read(path))
    monkeypatch.setattr(parquet, "FREE_ROWS", 10_000)
    pq.write_table(table(200_000, name=repeated(200_000, "x"), size=sizes), path)
    assert "200,000 rows are more than any has" in refusal(lambda: read(path))


def test_texts_that_repeat_the_one_before_are_refused(tmp_path: Path) -> None:
    encodings = {"name": "DELTA_BYTE_ARRAY", "note": "PLAIN", "size": "PLAIN"}
    same = ["x" * 10_000 + str(n) for n in range(500)]
    pq.write_table(table(500, name=same), tmp_path / "a", use_dictionary=False, column_encoding=encodings)
    assert (tmp_path / "a").stat().st_size < 50_000
    assert "encoding DELTA_BYTE_ARRAY" in refusal(lambda: read(tmp_path / "a"))


def test_page_that_states_more_than_the_metadata_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    pq.write_table(table(50).cast(pa.schema(FIELDS)), path, use_dictionary=False, compression="none")
    with pq.ParquetFile(path) as file:
        at = file.metadata.row_group(0).column(0).data_page_offset
    data = path.read_bytes()
    reader = parquet_pages._Reader(data[at:])
    header = reader.struct()
    assert header[2] == header[3] > 64
    old = data[at : at + reader.at]
    stated = bytes([0x15, *_zigzag(header[2])])
    larger = old.replace(stated, bytes([0x15, *_zigzag(2**31 - 1)]), 1)
    path.write_bytes(data[:at] + larger + data[at + len(old) :])
    assert "would unpack" in refusal(lambda: read(path))


def _zigzag(value: int) -> list[int]:
    value, digits = value << 1, []
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return [*digits, value]


@pytest.mark.parametrize(
    "column",
    [[["a"]], [{"a": 1}], [b"a"], pa.array([1.5], pa.float64()).cast(pa.decimal128(5, 1)), pa.array([0], pa.date32())],
    ids=["list", "map", "bytes", "decimal", "date"],
)
def test_column_of_another_type_is_refused(tmp_path: Path, column: Any) -> None:
    pq.write_table(table(1, name=column), tmp_path / "a")
    assert "the column name is of type" in refusal(lambda: read(tmp_path / "a"))


def test_headers_of_pages_end() -> None:
    for data in (
        b"",
        b"\x15",
        b"\x15\xff" * 3,
        b"\x1c" * 50,
        b"\x19\xf8" + b"\xff" * 9,
        b"\x1b\x01",
        bytes([0x15] * 9),
    ):
        with pytest.raises((ValueError, IndexError)):
            parquet_pages._Reader(data).struct()
    assert parquet_pages._Reader(b"\x15\x02\x15\x80\x01\x18\x03abc\x11\x00").struct() == {
        1: 1, 2: 64, 3: None, 4: True,
    }  # fmt: skip


def test_open_file_is_read(tmp_path: Path) -> None:
    file = io.BytesIO()
    pq.write_table(table(3).cast(pa.schema(FIELDS)), file)
    assert len(read_columns(file, FIELDS, "memory: no table", "again.")) == 3
