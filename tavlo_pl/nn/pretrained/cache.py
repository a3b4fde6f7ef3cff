"""Features of frozen encoders on disk, found again by the content of their input.

::

    DIR/<encoder>/<unique>.f16     features of 16 bits, one row after the other
    DIR/<encoder>/<unique>.keys    16 bytes for each row: a hash of the input

``<encoder>`` is a hash of the encoder's weights and arguments, so that other weights never get these features. A
process appends to files of its own, features first, so that a killed run leaves no key without features. Training on
shards with one frame a segment (``tavlo data shard --frames_per_segment 1``) has the same frames in every epoch: from
the second one on, no frame is encoded.
"""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from torch import Tensor, nn

from tavlo_pl.errors import ConfigError
from tavlo_pl.io.files import check_regular, read_bytes
from tavlo_pl.nn.pretrained.training import Trained

KEY_BYTES = 16

LARGEST_KEYS_BYTES = 2**30
"""Maximum size of a file of keys; 67 million inputs."""


class FeatureCache:
    """The stored features of one encoder; without a folder, features are computed.

    Args:
        folder: DIR; made when the first features are stored.
        trained: what of the encoder is trained (`PartlyTrained`).

    Raises:
        ConfigError: a folder for an encoder that is trained.
    """

    def __init__(self, folder: str | None, trained: Trained) -> None:
        if folder is not None and trained != "none":
            raise ConfigError(f"cache {folder}: features of an encoder that is trained change; set trained to none")
        self.root = folder
        self._folder: Path | None = None
        self._rows: dict[bytes, tuple[Path, int]] = {}
        self._shape: tuple[int, ...] | None = None
        self._own: Path | None = None
        self._maps: dict[Path, np.memmap] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def open(self, encoder: nn.Module, arguments: str) -> None:
        """Finds the features of an encoder, at the first call.

        Args:
            encoder: whose weights and type identify the features.
            arguments: further arguments that the features depend on.
        """
        if self.root is None or self._folder is not None:
            return
        digest = blake2b(f"{type(encoder).__name__} {arguments}".encode(), digest_size=KEY_BYTES)
        for name, value in sorted(encoder.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        self._folder = Path(self.root) / digest.hexdigest()
        for keys in sorted(self._folder.glob("*.keys")):
            found = read_bytes(keys, LARGEST_KEYS_BYTES)
            for row in range(len(found) // KEY_BYTES):
                self._rows[found[row * KEY_BYTES : (row + 1) * KEY_BYTES]] = (keys.with_suffix(".f16"), row)

    def get(self, inputs: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Features of N inputs; those that are not stored are computed and appended.

        Args:
            inputs: (N, ...).
            compute: (M, ...) inputs to (M, ...) features, each of which depends on its own input only.

        Returns:
            (N, ...) float32, rounded to 16 bits whether stored or computed; as computed without a folder.
        """
        if self._folder is None:
            return compute(inputs)
        keys = [blake2b(one.tobytes(), digest_size=KEY_BYTES).digest() for one in inputs.detach().cpu().numpy()]
        if self._shape is None and any(key in self._rows for key in keys):
            with torch.no_grad():
                self._shape = tuple(compute(inputs[:1]).shape[1:])
        stored = {key: self._read(key) for key in dict.fromkeys(keys)}
        missing = {key: n for n, key in enumerate(keys) if stored[key] is None}
        if missing:
            with torch.no_grad():
                found = compute(inputs[list(missing.values())]).to("cpu", torch.float16).numpy()
            finite = np.isfinite(found.reshape(len(found), -1)).all(1)
            self._append([key for key, keep in zip(missing, finite, strict=True) if keep], found[finite])
            stored |= {key: self._read(key) for key in missing}
        computed = {key: found[position] for position, key in enumerate(missing)}
        rows = [computed[key] if (row := stored[key]) is None else row for key in keys]
        return torch.from_numpy(np.stack(rows)).to(inputs.device, torch.float32)

    def _append(self, keys: list[bytes], features: np.ndarray) -> None:
        self._shape = features.shape[1:]
        if not keys:
            return
        if self._own is None:
            assert self._folder is not None
            self._folder.mkdir(parents=True, exist_ok=True)
            self._own = self._folder / f"{uuid4().hex}.f16"
        with self._own.open("ab") as file:
            first = file.tell() // max(1, features[0].nbytes)
            file.write(np.ascontiguousarray(features).tobytes())
        with self._own.with_suffix(".keys").open("ab") as file:
            file.write(b"".join(keys))
        self._rows |= {key: (self._own, first + n) for n, key in enumerate(keys)}

    def _read(self, key: bytes) -> np.ndarray | None:
        """The features of an input; None where they are not stored, or the file is cut or damaged."""
        if key not in self._rows:
            return None
        path, row = self._rows[key]
        shape = self._shape or ()
        size = int(np.prod(shape))
        if path not in self._maps or len(self._maps[path]) < (row + 1) * size:
            if check_regular(path).st_size < 2 * (row + 1) * size:
                return None
            self._maps[path] = np.memmap(path, np.float16, mode="r")
        features = np.asarray(self._maps[path][row * size : (row + 1) * size]).reshape(shape)
        return features if np.isfinite(features).all() else None
