"""Loads the weights that the authors of the peers released: maps their names to those of the models here.

A file is read as plain data (``weights_file.py``). EZ-VSL, SLAVC and FNAC store the weights under ``model``, LVS under
``model_state_dict``, SSL-TIE under ``state_dict``; models trained on several devices add the prefix ``module.``.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from tavlo_pl.errors import CheckpointError
from tavlo_pl.models.weights_file import check_weights, read_plain

log = logging.getLogger(__name__)

CONTAINERS = ("model", "model_state_dict", "state_dict")


class Renaming(NamedTuple):
    """Mapping of the weight names of one model.

    Attributes:
        names: prefix of the authors' names -> prefix of the names here.
        unused: prefixes of weights that the authors' network contains without using them.
    """

    names: Mapping[str, str]
    unused: tuple[str, ...] = ()


def _resnet(theirs: str, ours: str, first: str = "conv1") -> dict[str, str]:
    """Prefixes of a ResNet-18 with torchvision's names; here it is a sequence (``nn/visual.py: resnet_trunk``)."""
    parts = {first: 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    return {f"{theirs}.{name}.": f"{ours}.trunk.{number}." for name, number in parts.items()}


def _slavc(theirs: str, ours: str) -> dict[str, str]:
    """Prefixes of one of SLAVC's two copies; head 1 is the localization head, head 2 the instance head."""
    return {
        **_resnet(f"{theirs}imgnet", f"{ours}.visual"),
        **_resnet(f"{theirs}audnet", f"{ours}.audio"),
        f"{theirs}img_proj1.": f"{ours}.localization.visual.",
        f"{theirs}aud_proj1.": f"{ours}.localization.audio.",
        f"{theirs}img_proj2.": f"{ours}.instance.visual.",
        f"{theirs}aud_proj2.": f"{ours}.instance.audio.",
    }


EZVSL_NAMES = Renaming(
    {
        **_resnet("imgnet", "visual"),
        **_resnet("audnet", "audio"),
        "img_proj.": "head.visual.",
        "aud_proj.": "head.audio.",
    }
)
FNAC_NAMES = EZVSL_NAMES
SLAVC_NAMES = Renaming({**_slavc("", "trained"), **_slavc("momentum_", "momentum_encoder")})
LVS_NAMES = Renaming(
    {**_resnet("imgnet", "visual"), **_resnet("audnet", "audio", first="conv1_a")},
    unused=(  # each network contains the first layers of three modalities and a classifier
        "imgnet.conv1_a.",
        "imgnet.conv1_flow.",
        "imgnet.fc.",
        "audnet.conv1.",
        "audnet.conv1_flow.",
        "audnet.fc.",
    ),
)
SSLTIE_NAMES = Renaming(LVS_NAMES.names, unused=(*LVS_NAMES.unused, "vision_fc1.", "conv3.", "norm3."))


def load_released(model: nn.Module, file: str, renaming: Renaming) -> None:
    """Loads released weights into a model.

    Args:
        model: the model; the weights of its object prior do not change.
        file: path of the file, as released.
        renaming: mapping of the weight names.

    Raises:
        CheckpointError: the file is missing or unreadable, or weights are missing, unknown or of another shape.
    """
    theirs = _read(file)
    ours, unknown = {}, []
    for key, value in theirs.items():
        prefix = next((prefix for prefix in renaming.names if key.startswith(prefix)), None)
        if prefix is not None:
            ours[renaming.names[prefix] + key.removeprefix(prefix)] = value
        elif not key.startswith(renaming.unused):
            unknown.append(key)
    own = {key: value for key, value in model.state_dict().items() if not key.startswith("guidance.")}
    problems = {
        "missing": [key for key in own if key not in ours and not key.endswith("num_batches_tracked")],
        "unknown": unknown + [key for key in ours if key not in own],
        "of another shape": [key for key in ours if key in own and ours[key].shape != own[key].shape],
    }
    found = "; ".join(f"{what}: {', '.join(keys)}" for what, keys in problems.items() if keys)
    if found:
        raise CheckpointError(
            f"model.init_from {file} holds no weights of {type(model).__name__} as configured ({found}); "
            "use the published encoders (configs/model) and the authors' own file"
        )
    model.load_state_dict(ours, strict=False)
    log.info("%s: %d weights from %s, %d unused", type(model).__name__, len(ours), file, len(theirs) - len(ours))


def _read(file: str) -> dict[str, Tensor]:
    """The weights in a file by the authors' names, without container and ``module.`` prefix.

    Raises:
        CheckpointError: the file does not exist, or does not contain weights.
    """
    if not Path(file).is_file():
        raise CheckpointError(f"model.init_from {file}: no such file; give the file that the authors released")
    content = read_plain(Path(file), f"model.init_from {file} cannot be read")
    if isinstance(content, dict):
        content = next((content[key] for key in CONTAINERS if key in content), content)
    weights = check_weights(content, f"model.init_from {file} holds")
    return {key.removeprefix("module."): value for key, value in weights.items()}
