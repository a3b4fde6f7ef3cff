"""Reads the weights of a pretrained network from a file."""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from tavlo_pl.errors import CheckpointError
from tavlo_pl.io.files import check_regular


def load_weights(network: nn.Module, file: str | Path, renamed: Callable[[str], str | None]) -> None:
    """Loads a ``.safetensors`` file; values of 16 bits become float32.

    Args:
        network: that gets the weights.
        file: the path.
        renamed: maps a name of the file, without the leading underscores of its parts, to one of the network, or to
            None where the network does not need it.

    Raises:
        CheckpointError: the file is missing, unreadable, or of another network.
    """
    check_regular(file, None, CheckpointError)
    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file}: weights cannot be read: {' '.join(str(error).split())}") from error
    names = {name: renamed(".".join(part.removeprefix("_") for part in name.split("."))) for name in stored}
    if bad := next((name for name, value in stored.items() if not bool(torch.isfinite(value).all())), None):
        raise CheckpointError(f"{file}: weights are NaN or infinite ({bad})")
    weights = {new: stored[name].to(torch.float32) for name, new in names.items() if new is not None}
    wanted = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    wrong = [name for name, value in wanted.items() if name not in weights or weights[name].shape != value.shape]
    wrong += sorted(weights.keys() - wanted)
    if wrong:
        raise CheckpointError(f"{file}: these are not the weights of this network ({wrong[0]} does not fit)")
    network.load_state_dict(weights, strict=False)
