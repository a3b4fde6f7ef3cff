"""A checkpoint as a `Localizer`, and the ready one that comes with the package."""

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
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.models.weights_file import read_plain, write_safe
from tavlo_pl.predict.localizer import Localizer

TOY_WORLD = (
    "the ready checkpoint was trained on a procedural toy world of moving shapes and knows nothing else: "
    "give --ckpt_path for films of the real one"
)
NO_THRESHOLD = (
    "the checkpoint holds no threshold (it is from before tavlo stored one): maps are written, and whether a source is "
    "visible at all is left open"
)
READY = "world.safetensors"


def ready_checkpoint() -> Path:
    """The checkpoint that comes with the package.

    Raises:
        CheckpointError: this installation has none.
    """
    path = Path(str(files("tavlo_pl") / "weights" / READY))
    if not path.is_file():
        raise CheckpointError(
            f"no --ckpt_path was given and this installation has no ready checkpoint at {path}; "
            "give --ckpt_path RUN/checkpoints/best.ckpt"
        )
    return path


def release(checkpoint: str | Path, path: str | Path) -> None:
    """Writes what is needed of a checkpoint to test and to predict, its weights, configuration and threshold, as
    ``.safetensors``: to be handed on.

    Args:
        checkpoint: what ``tavlo fit`` wrote.
        path: of the new file, ``<name>.safetensors``.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    content = read_checkpoint(Path(checkpoint))
    if stored_config(content, Path(checkpoint)) is None:
        raise CheckpointError(f"{checkpoint} does not hold its configuration; give one that tavlo fit has written")
    write_safe(weights_of(content, Path(checkpoint)), content["tavlo"], Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Plain values of a file, read without running any code of it.

    Raises:
        CheckpointError: it is missing, or holds something else.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give one that tavlo fit has written")
    content = read_plain(path, f"{path} cannot be read as a checkpoint")
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} cannot be read as a checkpoint: it holds a {type(content).__name__}")
    return content


def weights_of(content: dict[str, Any], path: Path) -> dict[str, Tensor]:
    """The weights of a checkpoint, by name.

    Raises:
        CheckpointError: it holds none.
    """
    weights = content.get("state_dict")
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise CheckpointError(f"{path} holds no table of weights; give a checkpoint that tavlo fit has written")
    return weights


def stored_config(content: dict[str, Any], path: Path) -> str | None:
    """YAML text of the configuration that a checkpoint was made with; None where it holds none.

    Raises:
        CheckpointError: what stands there is no text.
    """
    match content.get("tavlo"):
        case None:
            return None
        case {"config": str(stored)}:
            return stored
    raise CheckpointError(f"{path}: what it says of its configuration is no text; give one of tavlo's own")


def threshold_of(content: dict[str, Any]) -> float | None:
    """The score from which on a pixel is said to sound; None in checkpoints from before it was stored."""
    stored = content.get("tavlo")
    threshold = stored.get("threshold") if isinstance(stored, dict) else None
    return float(threshold) if isinstance(threshold, int | float) else None


def load_model(path: Path, device: torch.device | str | None = None, allow_import: Sequence[str] = ()) -> AVLocalizer:
    """The model of a checkpoint, in evaluation mode.

    Args:
        path: a checkpoint that ``tavlo fit`` wrote; its configuration is in it.
        device: where to run; by default a GPU if there is one.
        allow_import: packages besides ours whose classes its configuration may name, which imports and so runs them.

    Raises:
        CheckpointError: it is missing, unreadable, or not of this package.
    """
    return _load(path, device, allow_import)[0]


def load_localizer(path: Path, device: torch.device | str | None = None, allow_import: Sequence[str] = ()) -> Localizer:
    """The model of a checkpoint with its clip format and threshold, to predict with; arguments as for `load_model`.

    Raises:
        CheckpointError: it is missing, unreadable, or not of this package.
    """
    model, content, config = _load(path, device, allow_import)
    try:
        spec = ClipSpec(**config["data"]["clip"])
    except TavloError:
        raise
    except Exception as error:  # an untrusted text can be wrong in any way
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: its clip format cannot be used: {reason}") from error
    return Localizer(model, spec, threshold_of(content), next(model.parameters()).device)


def _load(
    path: Path, device: torch.device | str | None, allow_import: Sequence[str]
) -> tuple[AVLocalizer, dict[str, Any], dict[str, Any]]:
    """The model, the content of the checkpoint and its configuration."""
    content = read_checkpoint(path)
    stored = stored_config(content, path)
    if stored is None:
        raise CheckpointError(f"{path} does not hold its configuration; give one that tavlo fit has written")
    security.restrict_imports(allow_import)
    try:
        config = security.read_yaml(stored)
        model = _model(config["model"], allow_import)
    except TavloError:
        raise
    except Exception as error:  # an untrusted text can be wrong in any way
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path}: its model cannot be made: {reason}") from error
    try:
        model.load_state_dict(weights_of(content, path))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its model: {error}") from error
    chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return model.eval().to(chosen), content, config


def _model(config: dict[str, Any], allow_import: Sequence[str]) -> AVLocalizer:
    visual = config.get("init_args", {}).get("visual", {}).get("init_args", {})
    if "weights" in visual:
        visual["weights"] = "none"  # the checkpoint's own follow
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AVLocalizer, "model")
    parsed = parser.parse_object({"model": config})
    security.check_named(parsed, allow_import)
    model: AVLocalizer = parser.instantiate(parsed).model
    return model
