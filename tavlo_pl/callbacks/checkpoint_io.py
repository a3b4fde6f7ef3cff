"""Atomic checkpoint files."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from tavlo_pl.io.atomic import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint atomically: at any moment its path holds the whole file, or the previous one.

    ``TorchCheckpointIO`` of Lightning 2.6 writes into the system's temporary folder and moves the file. On another disk
    that move is a copy to the final path, and both disks need the space.
    """

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a checkpoint.

        Args:
            checkpoint: plain values and tensors.
            path: of the file; its folder is created.
            storage_options: not used.

        Raises:
            OSError: writing failed; its ``filename`` is set.
        """
        content = io.BytesIO()
        torch.save(
            checkpoint, content
        )  # into memory first: on a full disk torch.save raises an error that does not name the reason
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_bytes(content.getbuffer())
