"""TAVLO from a shipped configuration, with another visual encoder and other options."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from tavlo_pl.losses.objective import ObjectiveConfig
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.attention import AttentionConfig
from tavlo_pl.nn.audio import SegmentCNN
from tavlo_pl.nn.visual import VisualEncoder


def build_tavlo(
    config: Path,
    visual: VisualEncoder,
    attention: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    **options: Any,
) -> TAVLO:
    """The model of a file of ``configs/model``.

    Args:
        config: the file.
        visual: replaces the visual encoder of the file.
        attention: options of the attention to change.
        objective: options of the objective to change.
        options: further options of `TAVLO` to change.
    """
    stored = yaml.safe_load(config.read_text())["init_args"]
    parts = {
        "visual": visual,
        "audio": SegmentCNN(**stored["audio"]["init_args"]),
        "attention": replace(AttentionConfig(**stored["attention"]), **(attention or {})),
        "objective": replace(ObjectiveConfig(**stored["objective"]), **(objective or {})),
    }
    return TAVLO(**(stored | parts | options))
