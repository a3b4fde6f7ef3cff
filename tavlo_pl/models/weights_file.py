"""Reads and writes files of weights as plain data, so that an untrusted file cannot execute code.

``.safetensors`` files contain tensors and metadata only; all other files are read by ``torch.load`` with
``weights_only``. Sizes that a file claims are compared with the size of the file before anything is allocated.
"""

import json
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from tavlo_pl.errors import CheckpointError
from tavlo_pl.io.atomic import atomic_path
from tavlo_pl.io.files import check_regular
from tavlo_pl.io.zip_file import checked_members

SAFETENSORS = ".safetensors"
METADATA_KEY = "tavlo"
"""Key of tavlo's configuration, stored as JSON in the metadata of a ``.safetensors`` file."""

MOST_RECORDS = 200_000
"""Largest number of members of a checkpoint; torch writes one for each tensor."""

LEGACY_PICKLES = 4
"""Pickles at the beginning of a file from before torch 1.6: a number, a version, the system, the content."""

LEAST_CLAIM = 2**24
"""Number in a file from before torch 1.6 up to which it cannot be a size that matters."""

REAL_TYPES = {
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
}


def read_plain(path: Path, problem: str) -> Any:
    """Reads a file; ``.safetensors`` gives the weights under ``state_dict``, and the metadata if there are any.

    Args:
        path: an existing file.
        problem: start of the error message for an unreadable file.

    Raises:
        CheckpointError: the file cannot be read, or contains objects other than plain values.
    """
    check_regular(path, None, CheckpointError)
    try:
        if path.suffix == SAFETENSORS:
            return _read_safetensors(path)
        zipped = _is_zip(path)
        if zipped:
            _verify_records(path)
        else:
            _check_legacy_sizes(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{problem}: it contains objects whose loading would execute code, or is damaged"
        ) from error
    except Exception as error:  # the type of error depends on where the file is damaged
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{problem}: {reason}") from error


def write_safe(weights: Mapping[str, torch.Tensor], metadata: Any, path: Path) -> None:
    """Writes weights as ``.safetensors``, atomically; those that 16 bits hold exactly are stored in 16 bits.

    Frozen encoders whose released weights have 16 bits take half the space without a change.

    Args:
        weights: tensors by name.
        metadata: plain values, stored as JSON.
        path: output file.
    """
    own = {name: _smallest(value).clone().contiguous() for name, value in weights.items()}  # tensors may share memory
    with atomic_path(path) as part:
        part.write_bytes(save(own, metadata={METADATA_KEY: json.dumps(metadata)}))  # save_file sets mode 0600


def _smallest(value: torch.Tensor) -> torch.Tensor:
    """The tensor in 16 bits if that changes no value."""
    half = value.half()
    return half if value.dtype == torch.float32 and torch.equal(half.float(), value) else value


def _read_safetensors(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        metadata = (file.metadata() or {}).get(METADATA_KEY)
    return {"state_dict": weights} | ({} if metadata is None else {METADATA_KEY: json.loads(metadata)})


def check_weights(weights: Any, problem: str) -> dict[str, torch.Tensor]:
    """Checks that a value is a table of finite real weights by name.

    Args:
        weights: from a file.
        problem: start of the error message.

    Raises:
        CheckpointError: it is something else.
    """
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in weights.items()
    ):
        raise CheckpointError(f"{problem} no table of weights; give a checkpoint written by tavlo fit")
    for name, value in weights.items():
        plain = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not plain or value.dtype not in REAL_TYPES:
            raise CheckpointError(f"{problem} weights that are no real numbers ({name}: {value.dtype})")
        stored = value[tuple(slice(0, 1) if step == 0 else slice(None) for step in value.stride())]  # not repeated
        if stored.numel() * value.itemsize > value.untyped_storage().nbytes():
            raise CheckpointError(f"{problem} a weight of more numbers than are stored ({name})")
        if not bool(torch.isfinite(stored).all()):
            raise CheckpointError(
                f"{problem} weights that are NaN or infinite ({name}); train again from an earlier one"
            )
    return weights


def _verify_records(path: Path) -> None:
    """Verifies directory and checksums of a zip file; torch does not.

    Raises:
        zipfile.BadZipFile: a checksum is wrong.
        ValueError: the directory is not one that torch writes.
    """
    records = checked_members(path, MOST_RECORDS, path.stat().st_size)
    if packed := next((name for name, info in records.items() if info.compress_type != zipfile.ZIP_STORED), None):
        raise ValueError(f"{packed} is compressed, which torch does not do")
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def _check_legacy_sizes(path: Path) -> None:
    """Compares the numbers in a file from before torch 1.6, among them sizes of storages, with the size of the file.

    Raises:
        ValueError: a number is larger, or the file is not one of torch.
    """
    most = max(path.stat().st_size, LEAST_CLAIM)
    with path.open("rb") as file:
        for number in range(LEGACY_PICKLES):
            for _, value, _ in pickletools.genops(file):
                if number == LEGACY_PICKLES - 1 and isinstance(value, int) and value > most:
                    raise ValueError(f"it contains the number {value}, larger than a size in it can be")


def _is_zip(path: Path) -> bool:
    """Whether the file is a zip archive, which torch can memory-map; files from before torch 1.6 are not."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
