"""Parquet tables, whose columns are looked at before anyone takes them for what they should be."""

from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tavlo_pl.errors import AnnotationError

MOST_ROWS = 20_000_000
"""A hundred times all of VGGSound; a few bytes can say of any number of rows that they are alike."""


def read_columns(source: Any, fields: Collection[pa.Field], problem: str, remedy: str) -> pa.Table:
    """Some columns of a Parquet file.

    Args:
        source: path or open file.
        fields: names and types of the columns; one that is not nullable must have a value in each row.
        problem: begins the message about a file that is none; names it.
        remedy: ends that message.

    Raises:
        AnnotationError: the file is no table, or lacks one of the columns.
        OSError: it cannot be read.
    """
    try:
        with pq.ParquetFile(source) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise ValueError(f"{file.metadata.num_rows:,} rows are more than any has")
            table = file.read(columns=[field.name for field in fields])
        table = table.select([field.name for field in fields]).cast(pa.schema(fields))
        table.validate(full=True)
        empty = [field.name for field in fields if not field.nullable and table[field.name].null_count]
        if empty:
            raise ValueError(f"rows without {', '.join(empty)}")
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # Arrow calls damage an OSError too, without number
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AnnotationError(f"{problem} ({reason}); {remedy}") from error
    return table
