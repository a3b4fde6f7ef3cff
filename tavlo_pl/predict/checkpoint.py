"""A checkpoint as a `Localizer`, and the ready one that comes with the package."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser

from tavlo_pl.errors import CheckpointError
from tavlo_pl.models.base import AVLocalizer
from tavlo_pl.predict.localizer import Form, Localizer

TOY_WORLD = (
    "the ready checkpoint was trained on a procedural toy world of moving shapes and knows nothing else: "
    "give --ckpt_path for films of the real one"
)
NO_THRESHOLD = (
    "the checkpoint holds no threshold (it is from before tavlo stored one): maps are written, and whether a source is "
    "visible at all is left open"
)
FORM = tuple(Form.__dataclass_fields__)


def ready_checkpoint() -> Path:
    """The checkpoint that comes with the package.

    Raises:
        CheckpointError: this installation has none.
    """
    path = Path(str(files("tavlo_pl") / "weights" / "world.ckpt"))
    if not path.is_file():
        raise CheckpointError(
            f"no --ckpt_path was given and this installation has no ready checkpoint at {path}; "
            "give --ckpt_path RUN/checkpoints/best.ckpt"
        )
    return path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What lies in a checkpoint, as plain data.

    Raises:
        CheckpointError: it is missing or unreadable.
    """
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}; give one that tavlo fit has written")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        reason = str(error).split("\n")[0]
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {reason}") from error
    return content


def threshold_of(content: dict[str, Any]) -> float | None:
    """The score from which on a pixel is said to sound; None in checkpoints from before it was stored."""
    threshold: float | None = content.get("tavlo", {}).get("threshold")
    return threshold


def load_localizer(path: Path, device: torch.device | str | None = None) -> Localizer:
    """The model of a checkpoint, ready to localize.

    Args:
        path: a checkpoint that ``tavlo fit`` wrote; its configuration is in it.
        device: where to run; by default a GPU if there is one.

    Raises:
        CheckpointError: it is missing, unreadable, or not of this package.
    """
    content = read_checkpoint(path)
    if "tavlo" not in content:
        raise CheckpointError(f"{path} does not hold its configuration; give one that tavlo fit has written")
    config = yaml.safe_load(content["tavlo"]["config"])
    model = _model(config["model"])
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights do not fit its model: {error}") from error
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    form = Form(**{name: config["data"][name] for name in FORM})
    return Localizer(model.eval().to(place), form, threshold_of(content), place)


def _model(config: dict[str, Any]) -> AVLocalizer:
    visual = config.get("init_args", {}).get("visual", {}).get("init_args", {})
    if "weights" in visual:
        visual["weights"] = "none"  # the checkpoint's own follow
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(AVLocalizer, "model")
    model: AVLocalizer = parser.instantiate(parser.parse_object({"model": config})).model
    return model
