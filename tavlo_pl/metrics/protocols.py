"""Evaluation protocols: named, complete sets of the choices that a localization figure depends on.

================  ==========  ================  =======================  ================================  ============
name              pixels      interpolation     threshold                papers                            printed
================  ==========  ================  =======================  ================================  ============
avatar            360 x 640   bilinear          universal:0.9, all       AVATAR (arXiv 2507.04667)         mean, AUC
avatar_per_frame  224 x 224   bilinear          top_tenth, per map       --                                mean, >= 0.5
vggss_ezvsl       224 x 224   bilinear_corners  top_half, per map        EZ-VSL, FNAC, LVS on VGG-SS       >= 0.5, AUC
vggss_sslalign    224 x 224   bilinear_corners  adaptive, per map        SSLalign on VGG-SS                >= 0.5, AUC
slavc             224 x 224   bicubic_corners   top_half, per map        SLAVC on VGG-SS with negatives    AP, max-F1
is3               224 x 224   bilinear_corners  top_half and adaptive    SSLalign on IS3                   IIoU, IAUC
avsbench          224 x 224   bilinear          sigmoid(S) > 0.5         AVSBench (S4, MS3)                mIoU, F
flickr            224 x 224   bilinear_corners  top_half, per map        EZ-VSL, FNAC on Flickr-SoundNet   >= 0.5, AUC
================  ==========  ================  =======================  ================================  ============

Which of the choices of ``avatar`` are known from the authors' code and which are assumed: docs/metrics.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from tavlo_pl.errors import ConfigError

Interpolation = Literal["bilinear", "bilinear_corners", "bicubic", "bicubic_corners"]
TimeChoice = Literal["linear", "nearest"]
Pooled = Literal["all", "on_screen"]
PooledValues = Literal["pixels", "cells", "maxima"]
SampleUnit = Literal["frame", "scenario"]
MixedFrames = Literal["both", "on_screen", "off_screen"]

Size = tuple[int, int]
"""(height, width) in pixels."""

LARGEST_SIDE = 8192
"""Maximum height and width of the evaluation in pixels."""


@dataclass(frozen=True)
class Protocol:
    """The choices of an evaluation.

    Attributes:
        name: of the protocol that it is, or is derived from.
        size: (height, width) at which maps and ground truth are compared, in pixels.
        interpolation: from cells to pixels.
        time: the map of an annotated frame: ``linear`` interpolates between the two nearest maps in time; ``nearest``
            takes the nearest one. ``tavlo test`` shows the model regular frames for the former, and the annotated frame
            itself for the latter.
        rules: threshold rules of cIoU, see ``functional/thresholds.py``; the first is that of the main table.
        off_screen_rule: ``universal:<quantile>``, the one threshold of the run for off-screen frames.
        pooled: which samples a universal threshold is a quantile of.
        pooled_values: which values of each map: those of all pixels, of the map's cells, or its highest pixel.
        samples: what is scored: a ``frame`` once, with all of its visible sources, for every scenario that it belongs
            to; or each ``scenario`` of a frame, with the sources of that scenario.
        mixed_frames: frames with visible and off-screen sources, if samples are frames: ``both`` scores the visible
            sources and counts the pixels outside of them as off-screen pixels; ``on_screen`` does the former only;
            ``off_screen`` treats the frame as one without a visible source.
        statistics: figures of the main table for samples with a visible source.
        metrics: names of metrics that are computed beside those that are always computed.
        confidence: score of a map in SLAVC's average precision: the mean of (S + 1) / 2 over the top quarter of cells.
        modified: names of the choices that differ from those of the named protocol.
    """

    name: str
    size: Size
    interpolation: Interpolation
    time: TimeChoice
    rules: tuple[str, ...]
    off_screen_rule: str = "universal:0.9"
    pooled: Pooled = "on_screen"
    pooled_values: PooledValues = "pixels"
    samples: SampleUnit = "scenario"
    mixed_frames: MixedFrames = "both"
    statistics: tuple[str, ...] = ("ciou_mean", "ciou_at_50")
    metrics: tuple[str, ...] = ()
    confidence: Literal["top_quarter"] = "top_quarter"
    modified: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The name, with the choices that were changed."""
        return f"{self.name}, modified ({', '.join(self.modified)})" if self.modified else self.name

    def choices(self) -> dict[str, Any]:
        """All choices as plain values."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> "Protocol":
        """The inverse of `choices`, for values read from a file."""
        kept: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in choices.items()}
        return cls(**kept)

    def sentence(self) -> str:
        """The choices that decide the figures of a table, in one sentence."""
        height, width = self.size
        return (
            f"Protocol {self.label}: rule {self.rules[0]}, maps upsampled to {width}×{height} ({self.interpolation}), "
            f"{self.time} in time, one sample a {self.samples}; universal thresholds over "
            f"{'all' if self.pooled == 'all' else 'on-screen'} samples ({self.pooled_values})."
        )

    def change(self, **choices: Any) -> "Protocol":
        """The protocol with other choices; what differs from the named protocol is listed in ``modified``."""
        changed = replace(self, **choices)
        named = PROTOCOLS.get(self.name, self)
        differing = [
            field.name
            for field in fields(self)
            if field.name != "modified" and getattr(changed, field.name) != getattr(named, field.name)
        ]
        return replace(changed, modified=tuple(differing))


@dataclass(frozen=True)
class ProtocolOptions:
    """Options of ``tavlo test`` and ``tavlo score`` that select and change a protocol.

    Args:
        protocol: Named set of choices: avatar, avatar_per_frame, vggss_ezvsl, vggss_sslalign, slavc, is3, avsbench,
            flickr. Default: that of the data set. The options below replace single choices of it.
        rule: Threshold rule: top_half, top_tenth, adaptive, fixed:<score> or universal:<quantile>.
        interpolation: From cells to pixels.
        size: Pixels of the evaluation, as HEIGHTxWIDTH, or one number for a square; original for the size of the
            annotated frames, which must have one size.
        time: Map of an annotated frame: linear between the two nearest maps, or the nearest map.
        pooled: Samples that a universal threshold is a quantile of.
        pooled_values: Values of each map that a universal threshold is a quantile of.
        samples: Score each frame once, or each scenario of a frame.
        mixed_frames: What frames with visible and off-screen sources count as, if samples are frames.
    """

    protocol: str | None = None
    rule: str | None = None
    interpolation: Interpolation | None = None
    size: str | None = None
    time: TimeChoice | None = None
    pooled: Pooled | None = None
    pooled_values: PooledValues | None = None
    samples: SampleUnit | None = None
    mixed_frames: MixedFrames | None = None

    def chosen(self, default: str, original_size: Callable[[], Size]) -> Protocol:
        """The protocol with the options applied.

        Args:
            default: name of the protocol where none is given.
            original_size: returns the size of the annotated frames; called for ``--size original``.

        Raises:
            ConfigError: there is no such protocol, or the size is none.
        """
        name = default if self.protocol is None else self.protocol
        if name not in PROTOCOLS:
            raise ConfigError(f"--protocol {name}: no such protocol; known are {', '.join(PROTOCOLS)}.")
        kept = ("interpolation", "time", "pooled", "pooled_values", "samples", "mixed_frames")
        choices = {choice: getattr(self, choice) for choice in kept if getattr(self, choice) is not None}
        if self.rule is not None:
            choices["rules"] = (self.rule,)
        if self.size is not None:
            choices["size"] = original_size() if self.size == "original" else parse_size(self.size)
        return PROTOCOLS[name].change(**choices)


def parse_size(text: str) -> Size:
    """(height, width) of ``360x640``, or of one number for a square.

    Raises:
        ConfigError: it is neither, or out of range.
    """
    parts = str(text).lower().split("x")
    if len(parts) in (1, 2) and all(part.isascii() and part.isdigit() for part in parts):
        size = int(parts[0]), int(parts[-1])
        if all(0 < side <= LARGEST_SIDE for side in size):
            return size
    raise ConfigError(
        f"--size {text} must be HEIGHTxWIDTH, such as 360x640, one number, or original; 1 to {LARGEST_SIDE}."
    )


_SQUARE: Size = (224, 224)
_AT_50 = ("ciou_at_50", "ciou_auc")

AVATAR = Protocol(
    "avatar",
    size=(360, 640),
    interpolation="bilinear",
    time="linear",
    rules=("universal:0.9",),
    pooled="all",
    samples="frame",
    statistics=("ciou_mean", "ciou_auc"),
)
"""AVATAR's own evaluator: one threshold for the whole model, at the size of the original frame, one cIoU a frame."""

AVATAR_PER_FRAME = Protocol(
    "avatar_per_frame", _SQUARE, "bilinear", time="nearest", rules=("top_tenth", "top_half", "adaptive")
)
"""The top tenth of each map; training validates with it, because it needs no pass over all maps."""

VALIDATION = replace(AVATAR_PER_FRAME, time="linear", rules=AVATAR_PER_FRAME.rules[:1])
"""How validation clips are evaluated during training: a threshold for each map, which needs no second pass over all
maps, and frames at equal distances, as in training."""

_NAMED = (
    AVATAR,
    AVATAR_PER_FRAME,
    Protocol("vggss_ezvsl", _SQUARE, "bilinear_corners", "nearest", ("top_half",), statistics=_AT_50),
    Protocol("vggss_sslalign", _SQUARE, "bilinear_corners", "nearest", ("adaptive",), statistics=_AT_50),
    Protocol("slavc", _SQUARE, "bicubic_corners", "nearest", ("top_half",), statistics=_AT_50),
    Protocol("is3", _SQUARE, "bilinear_corners", "nearest", ("top_half", "adaptive"), statistics=_AT_50),
    Protocol("avsbench", _SQUARE, "bilinear", "nearest", ("top_half",), metrics=("segmentation",)),
    Protocol("flickr", _SQUARE, "bilinear_corners", "nearest", ("top_half",), statistics=_AT_50),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in _NAMED}
"""Every named protocol."""
