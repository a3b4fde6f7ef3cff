"""Headers of the pages of a Parquet file, read before Arrow allocates what they state.

Arrow reserves the stated size of a page and decodes it to any number of values. The metadata at the end of the file
state sizes too, which need not be those of the pages. Headers are structures of Thrift's compact protocol.
"""

from typing import IO, Any

import pyarrow.parquet as pq

HEADER_BYTES = 2**16
"""Maximum size of the header of a page; it may hold the least and the largest value."""

LARGEST_PAGE_BYTES = 2**26
"""Maximum size of an unpacked page; common writers end a page at 1 MB."""

MOST_PAGES = 100_000

DELTA_BYTE_ARRAY = 7
"""An encoding where each text repeats the beginning of the one before, so that a few bytes state any number of long
texts. Writers use it only on request."""

MOST_DEPTH = 5

_STOP, _TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12

_ENCODINGS = ((5, 2), (7, 2), (8, 4))
"""Where the headers of data, dictionary and newer data pages have their encoding."""


class _Reader:
    """Reads values of Thrift's compact protocol.

    Args:
        data: bytes from the first one on.

    Raises:
        IndexError: the bytes end within a value.
        ValueError: they are no values.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise ValueError("a number of more than 64 bits")

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Field number -> value."""
        if depth > MOST_DEPTH:
            raise ValueError("structures in structures")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) != _STOP:
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            fields[number] = self.value(head & 15, depth)
        return fields

    def value(self, kind: int, depth: int) -> Any:
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _BYTE:
            return self.byte()
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind in (_DOUBLE, _BINARY):
            length = 8 if kind == _DOUBLE else self.varint()
            self.at += length
            return None
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            head = self.byte()
            for _ in range(self.varint() if head >> 4 == 15 else head >> 4):
                self.byte() if head & 15 in (_TRUE, _FALSE) else self.value(head & 15, depth + 1)
            return None
        raise ValueError(f"a value of type {kind}")


def check_pages(file: IO[bytes], metadata: pq.FileMetaData, columns: set[str], most_bytes: int) -> None:
    """Checks the sizes and encodings that the pages of some columns state.

    Args:
        file: the Parquet file.
        metadata: of the file.
        columns: names of the columns.
        most_bytes: of all their pages when unpacked.

    Raises:
        ValueError, IndexError: a header is damaged, or states too much.
    """
    pages = total = 0
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for position in range(metadata.num_columns if row_group.num_rows else 0):
            column = row_group.column(position)
            if column.path_in_schema not in columns:
                continue
            start = column.data_page_offset
            if column.dictionary_page_offset is not None:
                start = min(start, column.dictionary_page_offset)
            end = start + column.total_compressed_size
            while start < end:
                file.seek(start)
                reader = _Reader(file.read(HEADER_BYTES))
                header = reader.struct()
                unpacked, packed = header[2], header[3]
                encodings = [header[field][at] for field, at in _ENCODINGS if field in header]
                pages, total, start = pages + 1, total + unpacked, start + reader.at + packed
                if DELTA_BYTE_ARRAY in encodings:
                    raise ValueError(f"the column {column.path_in_schema} has the encoding DELTA_BYTE_ARRAY")
                if packed < 0 or not 0 <= unpacked <= LARGEST_PAGE_BYTES or total > most_bytes or pages > MOST_PAGES:
                    raise ValueError(f"it would unpack to more than {min(total, most_bytes):,} bytes")
