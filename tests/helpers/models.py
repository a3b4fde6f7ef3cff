"""Small TAVLO models, with the options of attention and objective as keyword arguments."""

from dataclasses import fields

import torch

from tavlo_pl.losses.objective import ObjectiveConfig
from tavlo_pl.models.tavlo import TAVLO
from tavlo_pl.nn.attention import AttentionConfig
from tavlo_pl.nn.audio import SegmentCNN
from tavlo_pl.nn.visual import ShuffleNet, VisualEncoder

CONTRASTIVE_ONLY = {
    "num_time_shifted": 0,
    "num_envelope_matched": 0,
    "num_silent": 0,
    "mismatch_peak_weight": 0.0,
    "silence_weight": 0.0,
}
"""Options of the objective without the additional terms."""


def small_tavlo(visual: VisualEncoder | None = None, **options: object) -> TAVLO:
    """A TAVLO of width 24 in evaluation mode, with the same weights at every call.

    Args:
        visual: encoder of the frames; ShuffleNet if None.
        options: of `TAVLO`, `AttentionConfig` and `ObjectiveConfig`.
    """
    torch.manual_seed(0)
    attention: dict[str, object] = {"num_layers": 1, "temporal_width": 8, "num_heads": 4}
    objective: dict[str, object] = {}
    for config, found in ((AttentionConfig, attention), (ObjectiveConfig, objective)):
        found |= {field.name: options.pop(field.name) for field in fields(config) if field.name in options}
    return TAVLO(
        visual or ShuffleNet(),
        SegmentCNN(24, (8, 8)),
        width=24,
        attention=AttentionConfig(**attention),  # type: ignore[arg-type]
        objective=ObjectiveConfig(**objective),  # type: ignore[arg-type]
        **options,  # type: ignore[arg-type]
    ).eval()
