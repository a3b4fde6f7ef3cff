"""Parquet tables: columns are checked for their names and types before they are used."""

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.parquet_pages import check_pages

MOST_ROWS = 20_000_000
"""Largest number of rows, a hundred times that of VGGSound; a few bytes can encode any number of equal rows."""

FREE_ROWS = 2**20
"""Rows that a file of any size may have; larger tables have at least one byte for each, since all names differ."""

MOST_ROW_GROUPS = 10_000

FREE_BYTES = 2**27
"""Size to which the columns of any file may unpack."""

MOST_EXPANSION = 64
"""Size of the unpacked columns of a larger file, as a multiple of its size; tables of clips have 3 to 10."""

LARGEST_FOOTER_BYTES = 2**26


def read_columns(source: Any, fields: Collection[pa.Field], problem: str, remedy: str) -> pa.Table:
    """Reads columns of a Parquet file.

    Args:
        source: path or open file.
        fields: names and types of the columns; one that is not nullable must have a value in each row.
        problem: beginning of the message about an invalid file; contains its name.
        remedy: end of that message.

    Raises:
        AnnotationError: the file is not a Parquet table, or lacks one of the columns.
        OSError: the file cannot be read.
    """
    if isinstance(source, Path):
        check_regular(source, None, AnnotationError)
    try:
        file: AbstractContextManager[IO[bytes]] = nullcontext(source)
        if isinstance(source, Path):
            file = source.open("rb")
        with file as opened:
            table = _read(opened, {field.name for field in fields})
        table = table.select([field.name for field in fields]).cast(pa.schema(fields))
        table.validate(full=True)
        empty = [field.name for field in fields if not field.nullable and table[field.name].null_count]
        if empty:
            raise ValueError(f"rows without {', '.join(empty)}")
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # damage is an OSError without errno
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AnnotationError(f"{problem} ({reason}); {remedy}") from error
    return table


def _read(file: IO[bytes], columns: set[str]) -> pa.Table:
    """Reads columns with their texts as numbers of a dictionary, once it is known how large they become.

    Raises:
        ValueError, LookupError: the file states more rows, pages or texts than a table of its size has.
        pyarrow.ArrowException, OSError: it is no Parquet file.
    """
    size = file.seek(0, 2)
    limits = {"thrift_string_size_limit": LARGEST_FOOTER_BYTES, "thrift_container_size_limit": LARGEST_FOOTER_BYTES}
    with pq.ParquetFile(file, **limits) as parquet:
        metadata, schema = parquet.metadata, parquet.schema_arrow
        if metadata.num_rows > min(MOST_ROWS, max(FREE_ROWS, size)) or metadata.num_row_groups > MOST_ROW_GROUPS:
            raise ValueError(f"{metadata.num_rows:,} rows are more than any has in {size:,} bytes")
        found = [schema.field(name) for name in sorted(columns)]
        if wrong := next((field for field in found if not _is_plain(field.type)), None):
            raise ValueError(f"the column {wrong.name} is of type {wrong.type}")
        most_bytes = max(FREE_BYTES, MOST_EXPANSION * size)
        check_pages(file, metadata, columns, most_bytes)
    texts = [field.name for field in found if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    with pq.ParquetFile(file, read_dictionary=texts, **limits) as parquet:
        table = parquet.read(columns=sorted(columns))
    if sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks) > most_bytes:
        raise ValueError(f"texts of more than {most_bytes:,} bytes in {size:,} bytes")
    return table


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values of a type are numbers or texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    checks = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    return any(check(kind) for check in (*checks, pa.types.is_string, pa.types.is_large_string))


def _text_bytes(chunk: pa.Array) -> int:
    """Size in bytes of the texts of a column with each repetition; 0 for numbers."""
    if not pa.types.is_dictionary(chunk.type) or pa.types.is_primitive(chunk.type.value_type):
        return 0
    lengths = pc.cast(pc.binary_length(chunk.dictionary), pa.int64())
    return int(pc.sum(lengths.take(chunk.indices)).as_py() or 0)
