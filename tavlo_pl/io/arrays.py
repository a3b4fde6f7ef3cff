"""Arrays of ``.npy`` and ``.npz`` files: shape and type are checked before values are read."""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.io.zip_file import checked_members

MOST_MEMBERS = 10_000
"""Largest number of arrays of a file."""

MOST_HEADER_BYTES = 4096
"""Largest header of an array; NumPy parses it as Python."""

MOST_DIMENSIONS = 8

BROKEN = (
    OSError,
    ValueError,
    EOFError,
    MemoryError,
    NotImplementedError,
    SyntaxError,
    RuntimeError,
    OverflowError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions of `numpy` and `zipfile` for damaged files; the header of an array is parsed as Python."""

SUFFIX = ".npy"


class Schema(NamedTuple):
    """What an array must be.

    Attributes:
        kinds: letters of `numpy.dtype.kind`; numbers have at most 8 bytes, texts (``U``) any number.
        dimensions: numbers of dimensions that it may have.
        low: least value; None for values that are checked where they are used.
        high: largest value.
    """

    kinds: str
    dimensions: tuple[int, ...]
    low: float | None = None
    high: float = math.inf

    def check_form(self, name: str, header: "ArrayHeader") -> None:
        """Checks type and shape of an array.

        Raises:
            ValueError: they are not as the schema says.
        """
        dtype, axes = header.dtype, len(header.shape)
        too_long = dtype.itemsize > 8 and dtype.kind != "U"
        if dtype.kind not in self.kinds or too_long or axes not in self.dimensions:
            wanted = " or ".join(map(str, self.dimensions))
            what = "texts" if self.kinds == "U" else "numbers"
            raise ValueError(f"{name} is {describe(header)}, not {what} with {wanted} axes")
        if not header.data_bytes:
            raise ValueError(f"{name} is empty")

    def check_values(self, name: str, array: NDArray[Any]) -> None:
        """Checks the values of an array.

        Raises:
            ValueError: one is not finite or out of range.
        """
        if self.low is None:
            return
        low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{name} holds NaN or infinity")
        if low < self.low or high > self.high:
            wrong = low if low < self.low else high
            raise ValueError(f"{name} holds {wrong:g}, outside of {self.low:g} to {self.high:g}")


class ArrayHeader(NamedTuple):
    """Header of an array.

    Attributes:
        shape: of the array.
        is_transposed: whether it is stored in Fortran order.
        dtype: of its values.
    """

    shape: tuple[int, ...]
    is_transposed: bool
    dtype: np.dtype[Any]

    @property
    def data_bytes(self) -> int:
        """Size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def describe(header: ArrayHeader) -> str:
    """Type and shape of an array, for messages."""
    return f"{header.dtype}{list(header.shape)}"


def read_header(file: IO[bytes]) -> ArrayHeader:
    """Reads the header of an array, without its values.

    Raises:
        ValueError: it is no header of an array of numbers or texts.
    """
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of version {version}")
    found = ArrayHeader(*readers[version](file, max_header_size=MOST_HEADER_BYTES))
    if found.dtype.hasobject or found.dtype.kind == "V":
        raise ValueError("an array of objects or structures, not of numbers (allow_pickle=False)")
    if len(found.shape) > MOST_DIMENSIONS or any(type(length) is not int or length < 0 for length in found.shape):
        raise ValueError(f"an array of shape {list(found.shape)}")
    return found


class ArrayFile:
    """The arrays of a ``.npz`` file.

    Args:
        path: of a regular file.
        most_bytes: of all members when unpacked.

    Attributes:
        headers: of the arrays by name.

    Raises:
        ValueError, OSError, zipfile.BadZipFile and others of `numpy` and `zipfile`: the file is no archive of arrays.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path = path
        self.members = checked_members(path, MOST_MEMBERS, most_bytes)

    @property
    def names(self) -> list[str]:
        """Names of all arrays, in the order of the file."""
        return [name.removesuffix(SUFFIX) for name in self.members if name.endswith(SUFFIX)]

    def read(self, wanted: Mapping[str, Schema]) -> dict[str, NDArray[Any]]:
        """Reads arrays by name after checking their headers.

        Raises:
            ValueError: an array is missing or not as its schema says.
        """
        if missing := wanted.keys() - set(self.names):
            raise ValueError(f"no array {', '.join(sorted(missing))}")
        found = {}
        with zipfile.ZipFile(self.path) as archive:
            for name, schema in wanted.items():
                with archive.open(self.members[f"{name}{SUFFIX}"]) as member:
                    found[name] = _read_array(name, member, schema)
        return found

    def described(self, most: int) -> Iterator[str]:
        """Yields name, type and shape of the first arrays, for messages."""
        with zipfile.ZipFile(self.path) as archive:
            for name in self.names[:most]:
                with archive.open(self.members[f"{name}{SUFFIX}"]) as member:
                    yield f"{name} {describe(read_header(member))}"


def _read_array(name: str, member: IO[bytes], schema: Schema) -> NDArray[Any]:
    header = read_header(member)
    schema.check_form(name, header)
    content = member.read(header.data_bytes + 1)
    if len(content) != header.data_bytes:
        raise ValueError(f"{name} has {len(content):,} bytes, and its header says {header.data_bytes:,}")
    values = np.frombuffer(content, header.dtype)
    array = values.reshape(header.shape[::-1]).T if header.is_transposed else values.reshape(header.shape)
    schema.check_values(name, array)
    return array
