"""How a checkpoint gets onto the disk: beside its name, then renamed."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from tavlo_pl.io.atomic import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint so that its name leads to the whole of it, or to the one before, at any moment.

    Lightning's own (2.6) writes into the system's temporary folder and moves the file from there, which is a copy
    onto the final name wherever that folder is another disk, and needs room on both.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes a file.

        Args:
            checkpoint: plain values and tensors.
            path: of the file; its folder is made.
            storage_options: not used.

        Raises:
            OSError: with the name in it.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)  # into memory first: writing to a full disk it would hide the reason
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            part.write_bytes(content.getbuffer())
