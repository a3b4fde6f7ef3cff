"""Reads and writes files of weights as plain data, so that an untrusted file cannot execute code.

``.safetensors`` files contain tensors and metadata only; all other files are read by ``torch.load`` with
``weights_only``.
"""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save

from tavlo_pl.errors import CheckpointError
from tavlo_pl.io.atomic import atomic_path

SAFETENSORS = ".safetensors"
METADATA_KEY = "tavlo"
"""Key of tavlo's configuration, stored as JSON in the metadata of a ``.safetensors`` file."""


def read_plain(path: Path, problem: str) -> Any:
    """Reads a file; ``.safetensors`` gives the weights under ``state_dict``, and the metadata if there are any.

    Args:
        path: an existing file.
        problem: start of the error message for an unreadable file.

    Raises:
        CheckpointError: the file cannot be read, or contains objects other than plain values.
    """
    try:
        if path.suffix == SAFETENSORS:
            return _read_safetensors(path)
        zipped = _is_zip(path)
        if zipped:
            _verify_checksums(path)
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


def _verify_checksums(path: Path) -> None:
    """Verifies the checksums of a zip file; torch does not.

    Raises:
        zipfile.BadZipFile: a checksum is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def _is_zip(path: Path) -> bool:
    """Whether the file is a zip archive, which torch can memory-map; files from before torch 1.6 are not."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
