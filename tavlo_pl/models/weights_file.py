"""Files of weights, read as plain data: what a stranger wrote into one must not run.

``.safetensors`` holds tensors and nothing else, which is how weights are handed on; all other files are read by torch
with ``weights_only``.
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

SAFE = ".safetensors"
NOTE = "tavlo"
"""What tavlo keeps beside the weights: as JSON in the metadata of a ``.safetensors`` file."""


def read_plain(path: Path, problem: str) -> Any:
    """The values in a file; of ``.safetensors`` the weights under ``state_dict``, and the note if there is one.

    Args:
        path: an existing file.
        problem: begins the sentence about a file that cannot be read.

    Raises:
        CheckpointError: it cannot be read, or holds more than plain values.
    """
    try:
        if path.suffix == SAFE:
            return _read_safe(path)
        zipped = _is_zip(path)
        if zipped:
            _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{problem}: it holds objects whose reading would run code, or is damaged") from error
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{problem}: {reason}") from error


def write_safe(weights: Mapping[str, torch.Tensor], note: Any, path: Path) -> None:
    """Writes weights as ``.safetensors``, beside the name first.

    Args:
        weights: by name.
        note: plain values to keep beside them.
        path: of the file.
    """
    own = {name: value.clone().contiguous() for name, value in weights.items()}  # two may share their memory
    with atomic_path(path) as part:
        part.write_bytes(save(own, metadata={NOTE: json.dumps(note)}))  # its own way lets nobody else read the file


def _read_safe(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        note = (file.metadata() or {}).get(NOTE)
    return {"state_dict": weights} | ({} if note is None else {NOTE: json.loads(note)})


def _check_sums(path: Path) -> None:
    """Compares the checksums in a zip file, which torch does not.

    Raises:
        zipfile.BadZipFile: one is wrong.
    """
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} is damaged")


def _is_zip(path: Path) -> bool:
    """Whether torch can map the file into memory; files from before torch 1.6 are read whole."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"
