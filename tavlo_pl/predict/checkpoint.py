"""Loads a checkpoint as a model or a `Localizer`; finds the packaged checkpoint; writes released weights."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from torch import Tensor

from tavlo_pl.config import security, stored
from tavlo_pl.data.clip_spec import ClipSpec
from tavlo_pl.errors import CheckpointError
from tavlo_pl.io.parsing import brief
from tavlo_pl.models.allocation import limited_allocation
from tavlo_pl.models.base import AVLocalizer, remove_downloads
from tavlo_pl.models.weights_file import check_weights, read_plain, write_safe
from tavlo_pl.predict.checks import check_packages, to_device
from tavlo_pl.predict.localizer import Localizer

NO_THRESHOLD = (
    "the checkpoint has no threshold (an earlier version of tavlo wrote it), so the results do not state whether a "
    "source is visible"
)
LARGEST_SCORE = 1e6
"""Largest absolute threshold; scores are in [-1, 1], those of models elsewhere may have another range."""

PACKAGED_FILE = "real.safetensors"


def packaged_checkpoint_note(option: str = "--ckpt_path") -> str:
    """Returns the note on the training data of the packaged checkpoint.

    Args:
        option: what selects another checkpoint.
    """
    return (
        "the packaged checkpoint was trained on images and recordings of 89 classes (animals, instruments, machines, "
        f"people who speak) in composed videos; for other sources, give a checkpoint of your own with {option}"
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


def release(checkpoint: str | Path, path: str | Path, config: str | None = None) -> None:
    """Writes weights, configuration and threshold of a checkpoint as ``.safetensors``, for testing and prediction.

    Args:
        checkpoint: written by ``tavlo fit``.
        path: the new file, ``<name>.safetensors``.
        config: YAML text to store in place of the configuration of the checkpoint.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    content = read_checkpoint(Path(checkpoint))
    if config_text(content, Path(checkpoint)) is None:
        raise CheckpointError(f"{checkpoint} contains no configuration; give a checkpoint written by tavlo fit")
    about = content["tavlo"] if config is None else content["tavlo"] | {"config": config}
    write_safe(weights_of(content, Path(checkpoint)), about, Path(path))


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
        CheckpointError: it contains no finite weights.
    """
    return check_weights(content.get("state_dict"), f"{path} contains")


def config_text(content: dict[str, Any], path: Path) -> str | None:
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
        case {"config": str(text)}:
            return text
    raise CheckpointError(f"{path}: its configuration is not a text; give a checkpoint written by tavlo fit")


def stored_config(path: Path, allow_import: Sequence[str] | None) -> str | None:
    """Returns what the configuration of a checkpoint may set (`stored.allowed_part`) as YAML text; None without one.

    The arguments of the model are those of `remove_downloads`: it loads the weights of the checkpoint next.

    Args:
        path: a checkpoint written by ``tavlo fit``.
        allow_import: as for `load_model`; None only checks that the file can be read.

    Raises:
        CheckpointError: the file is missing or unreadable, or its configuration is not one.
    """
    text = config_text(read_checkpoint(path), path)
    if text is None or allow_import is None:
        return None
    parser, parsed = _parse_model(config := _read_config(text, path), path, allow_import)
    resolved = yaml.safe_load(parser.dump(parsed, skip_unset=False))
    return str(yaml.safe_dump(config | resolved, sort_keys=False))


def threshold_of(content: dict[str, Any]) -> float | None:
    """Returns the score from which on a pixel counts as sounding; None in checkpoints of earlier versions.

    Args:
        content: from `read_checkpoint`.

    Raises:
        CheckpointError: the threshold is no score.
    """
    about = content.get("tavlo")
    threshold = about.get("threshold") if isinstance(about, dict) else None
    if threshold is None:
        return None
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if not is_number or not abs(threshold) <= LARGEST_SCORE:
        raise CheckpointError(f"the threshold of the checkpoint is {brief(threshold)}, no score; train it again")
    return float(threshold)


def load_model(path: Path, device: torch.device | str | None = None, allow_import: Sequence[str] = ()) -> AVLocalizer:
    """Loads the model of a checkpoint in evaluation mode.

    Args:
        path: a checkpoint written by ``tavlo fit``, which contains its configuration.
        device: where to run; by default a GPU if there is one.
        allow_import: packages besides `security.PACKAGES` whose classes the configuration may name. Naming a class
            imports its module, which runs it.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    model, _, config = _load(path, device, allow_import)
    if "data" in config:  # not used, but a file with an invalid part is refused everywhere
        _clip_spec(config, path)
    return model


def load_localizer(path: Path, device: torch.device | str | None = None, allow_import: Sequence[str] = ()) -> Localizer:
    """Loads the model of a checkpoint with its clip format and threshold; arguments as for `load_model`.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or not of this package.
    """
    model, content, config = _load(path, device, allow_import)
    return Localizer(model, _clip_spec(config, path), threshold_of(content), next(model.parameters()).device)


def _load(
    path: Path, device: torch.device | str | None, allow_import: Sequence[str]
) -> tuple[AVLocalizer, dict[str, Any], dict[str, Any]]:
    """The model, the content of the checkpoint and its configuration."""
    check_packages(allow_import)
    chosen = to_device(device)
    content = read_checkpoint(path)
    text = config_text(content, path)
    if text is None:
        raise CheckpointError(f"{path} contains no configuration; give a checkpoint written by tavlo fit")
    config = _read_config(text, path)
    parser, parsed = _parse_model(config, path, allow_import)
    with _as_checkpoint_error(f"{path}: its model cannot be created"), limited_allocation(path):
        model: AVLocalizer = parser.instantiate(parsed).model
    try:
        model.load_state_dict(weights_of(content, path))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its model: {error}") from error
    return model.eval().to(chosen), content, config


def _clip_spec(config: dict[str, Any], path: Path) -> ClipSpec:
    """The form of the clips that a checkpoint states."""
    with _as_checkpoint_error(f"{path}: its clip format cannot be used"):
        return ClipSpec(**config["data"]["clip"])


def _read_config(text: str, path: Path) -> dict[str, Any]:
    """What a stored configuration may set, as plain values."""
    with _as_checkpoint_error(f"{path}: its model cannot be created"):
        return stored.allowed_part(security.read_yaml(text))


def _parse_model(config: dict[str, Any], path: Path, allow_import: Sequence[str]) -> tuple[ArgumentParser, Namespace]:
    """The parser of a model, and its arguments with all defaults, without `remove_downloads`."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AVLocalizer, "model")
    with _as_checkpoint_error(f"{path}: its model cannot be created"):
        security.restrict_imports(allow_import)
        parsed = parser.parse_object({"model": config["model"]})
        security.check_named(parsed, allow_import)
        plain = {"init_args": yaml.safe_load(parser.dump(parsed, skip_unset=False))["model"].get("init_args", {})}
        remove_downloads(plain["init_args"])
        return parser, parser.parse_object({"model": {"class_path": parsed.model.class_path, **plain}})


@contextmanager
def _as_checkpoint_error(problem: str) -> Iterator[None]:
    """Converts any exception of an untrusted configuration into a `CheckpointError`.

    Args:
        problem: beginning of the message.
    """
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{problem}: {security.denied_import(reason) or reason}") from error
