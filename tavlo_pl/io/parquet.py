"""Parquet tables: columns are checked for their names and types before they are used."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.files import check_regular

MOST_ROWS = 20_000_000
"""Largest number of rows, a hundred times that of VGGSound; a few bytes can encode any number of equal rows."""


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
        if isinstance(error, OSError) and error.errno is not None:  # damage is an OSError without errno
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AnnotationError(f"{problem} ({reason}); {remedy}") from error
    return table
