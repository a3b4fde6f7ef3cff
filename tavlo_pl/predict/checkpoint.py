"""Loads a checkpoint as a model or a `Localizer`; finds the packaged checkpoint; writes released weights."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from torch import Tensor

from tavlo_pl.config import security
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.errors import CheckpointError, TavloError
from tavlo_pl.models.base import AVLocalizer, remove_downloads
from tavlo_pl.models.weights_file import read_plain, write_safe
from tavlo_pl.predict.checks import check_packages, to_device
from tavlo_pl.predict.localizer import Localizer

NO_THRESHOLD = (
    "the checkpoint has no threshold (an earlier version of tavlo wrote it), so the results do not state whether a "
    "source is visible"
)
PACKAGED_FILE = "world.safetensors"


def packaged_checkpoint_note(option: str = "--ckpt_path") -> str:
    """Returns the note on the training data of the packaged checkpoint.

    Args:
        option: what selects another checkpoint.
    """
    return (
        "the packaged checkpoint was trained on procedural videos of moving shapes only; "
        f"for real videos, give a checkpoint of your own with {option}"
    )


def packaged_checkpoint() -> Path:
    """Returns the path of the checkpoint in the package.

    Raises:
        CheckpointError: this installation has none.
    """
    path = Path(str(files("tavlo_pl") / "weights" / PACKAGED_FILE))
    if not path.is_file():
        raise CheckpointError(
            f"no --ckpt_path was given and this installation has no packaged checkpoint at {path}; "
            "give --ckpt_path RUN/checkpoints/best.ckpt"
        )
    return path


def release(checkpoint: str | Path, path: str | Path) -> None:
    """Writes weights, configuration and threshold of a checkpoint as ``.safetensors``, for testing and prediction.

    Args:
        checkpoint: written by ``tavlo fit``.
        path: the new file, ``<name>.safetensors``.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    content = read_checkpoint(Path(checkpoint))
    if stored_config(content, Path(checkpoint)) is None:
        raise CheckpointError(f"{checkpoint} contains no configuration; give a checkpoint written by tavlo fit")
    write_safe(weights_of(content, Path(checkpoint)), content["tavlo"], Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a file as plain values, without running its code.

    Raises:
        CheckpointError: the file is missing, unreadable, or contains something else than a dictionary.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give a checkpoint written by tavlo fit")
    content = read_plain(path, f"{path} cannot be read as a checkpoint")
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} cannot be read as a checkpoint: it contains a {type(content).__name__}")
    return content


def weights_of(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """Returns the weights of a checkpoint by name.

    Args:
        content: from `read_checkpoint`.
        path: the file, for the message.

    Raises:
        CheckpointError: it contains no weights.
    """
    weights = content.get("state_dict")
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{path} contains no table of weights; give a checkpoint written by tavlo fit")
    return weights


def stored_config(content: dict[str, Any], path: Path) -> str | None:
    """Returns the configuration of a checkpoint as YAML text; None if it contains none.

    Args:
        content: from `read_checkpoint`.
        path: the file, for the message.

    Raises:
        CheckpointError: the configuration is not a text.
    """
    match content.get("tavlo"):
        case None:
            return None
        case {"config": str(stored)}:
            return stored
    raise CheckpointError(f"{path}: its configuration is not a text; give a checkpoint written by tavlo fit")


def read_stored_config(path: Path) -> str | None:
    """Reads the configuration of a checkpoint as YAML text; None if it contains none.

    Raises:
        CheckpointError: the checkpoint is missing or unreadable.
    """
    return stored_config(read_checkpoint(path), path)


def threshold_of(content: dict[str, Any]) -> float | None:
    """Returns the score from which on a pixel counts as sounding; None in checkpoints of earlier versions.

    Args:
        content: from `read_checkpoint`.
    """
    stored = content.get("tavlo")
    threshold = stored.get("threshold") if isinstance(stored, dict) else None
    return float(threshold) if isinstance(threshold, int | float) else None


def load_model(path: Path, device: torch.device | str | None = None, allow_import: Sequence[str] = ()) -> AVLocalizer:
    """Loads the model of a checkpoint in evaluation mode.

    Args:
        path: a checkpoint written by ``tavlo fit``, which contains its configuration.
        device: where to run; by default a GPU if there is one.
        allow_import: packages besides `security.IMPORTABLE` whose classes the configuration may name. Naming a class
            imports its module, which runs it.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    return _load(path, device, allow_import)[0]


def load_localizer(path: Path, device: torch.device | str | None = None, allow_import: Sequence[str] = ()) -> Localizer:
    """Loads the model of a checkpoint with its clip format and threshold; arguments as for `load_model`.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    model, content, config = _load(path, device, allow_import)
    try:
        spec = ClipSpec(**config["data"]["clip"])
    except TavloError:
        raise
    except Exception as error:  # an untrusted configuration can raise any exception
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: its clip format cannot be used: {reason}") from error
    return Localizer(model, spec, threshold_of(content), next(model.parameters()).device)


def _load(
    path: Path, device: torch.device | str | None, allow_import: Sequence[str]
) -> tuple[AVLocalizer, dict[str, Any], dict[str, Any]]:
    """The model, the content of the checkpoint and its configuration."""
    check_packages(allow_import)
    chosen = to_device(device)
    content = read_checkpoint(path)
    stored = stored_config(content, path)
    if stored is None:
        raise CheckpointError(f"{path} contains no configuration; give a checkpoint written by tavlo fit")
    security.restrict_imports(allow_import)
    try:
        config = security.read_yaml(stored)
        model = _model(config["model"], allow_import)
    except TavloError:
        raise
    except Exception as error:  # an untrusted configuration can raise any exception
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: its model cannot be created: {reason}") from error
    try:
        model.load_state_dict(weights_of(content, path))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its model: {error}") from error
    return model.eval().to(chosen), content, config


def _model(config: dict[str, Any], allow_import: Sequence[str]) -> AVLocalizer:
    if isinstance(config.get("init_args"), dict):
        remove_downloads(config["init_args"])  # the weights of the checkpoint are loaded next
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AVLocalizer, "model")
    parsed = parser.parse_object({"model": config})
    security.check_named(parsed, allow_import)
    model: AVLocalizer = parser.instantiate(parsed).model
    return model
