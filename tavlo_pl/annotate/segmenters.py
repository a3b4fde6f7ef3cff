"""Segmenters that make a mask of clicks or a box, behind one interface."""

from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tavlo_pl.annotate.frames import PERSON, instance_to_json, with_mask
from tavlo_pl.data.annotations import Instance, RunLengths
from tavlo_pl.errors import AnnotationError
from tavlo_pl.io.parsing import brief, is_number
from tavlo_pl.types import Scenario

NONE = "none"
MOST_CLICKS = 100
MASKS_IN_MEMORY = 256

Click = tuple[float, float, bool]
"""x and y in pixels, and whether the object is there (or is not)."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Prompt:
    """What a mask is made of.

    Attributes:
        clicks: on the object, or beside it.
        box: left, top, width and height in pixels; None for none.
    """

    clicks: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None


class Segmenter(Protocol):
    """Makes masks."""

    name: str

    def segment(self, frame: NDArray[np.uint8], prompt: Prompt) -> tuple[Mask, float] | None:
        """(H, W) mask and its score in [0, 1] for an (H, W, 3) RGB frame; None where it finds nothing."""


def make_segmenter(name: str) -> Segmenter | None:
    """Makes a segmenter by name: a SAM 2 model of transformers by name or folder, or ``none``.

    Args:
        name: of the model.

    Raises:
        ConfigError: transformers is not installed.
        CheckpointError: the model cannot be read.
    """
    if name == NONE:
        return None
    from tavlo_pl.annotate.sam2 import Sam2Segmenter  # noqa: PLC0415  # the page starts without torch

    return Sam2Segmenter(name)


class PromptedMasks:
    """The masks that a page asks for; remembers the last ones, so that provenance does not depend on the page.

    Args:
        segmenter: makes them.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter, self._lock = segmenter, Lock()
        self._scores: dict[RunLengths, float] = {}

    @property
    def name(self) -> str:
        """The proposer of the masks."""
        return self._segmenter.name

    def make(self, frame: NDArray[np.uint8], prompt: Any) -> dict[str, Any]:
        """The fields ``segmentation`` and ``bbox`` of the mask of a prompt; one at a time.

        Args:
            frame: (H, W, 3) RGB.
            prompt: see `parse_prompt`.

        Raises:
            AnnotationError: the prompt is invalid, or the segmenter finds nothing.
        """
        asked = parse_prompt(prompt)
        with self._lock:
            found = self._segmenter.segment(frame, asked)
            if found is None:
                raise AnnotationError("the segmenter finds nothing there; click on another point.")
            instance = with_mask(Instance(PERSON, Scenario.SINGLE_SOUND), found[0])
            self._scores[RunLengths.of(found[0])] = found[1]
            if len(self._scores) > MASKS_IN_MEMORY:
                del self._scores[next(iter(self._scores))]
        fields = instance_to_json(instance)
        return {name: fields[name] for name in ("segmentation", "bbox")}

    def score(self, instance: Instance) -> float | None:
        """The score of a mask that was made here; None for another geometry."""
        return None if instance.rle is None else self._scores.get(instance.rle)


def parse_prompt(value: Any) -> Prompt:
    """Checks a prompt that a page sent, ``{"clicks": [[x, y, true]], "box": [left, top, width, height]}``.

    Raises:
        AnnotationError: a field is invalid.
    """
    if not isinstance(value, dict):
        raise AnnotationError(f"a prompt must be an object with clicks and box, found {brief(value)}.")
    clicks, box = value.get("clicks", []), value.get("box")
    if not isinstance(clicks, list) or len(clicks) > MOST_CLICKS or not all(map(_is_click, clicks)):
        raise AnnotationError(f"clicks must be a list of at most {MOST_CLICKS} [x, y, true], found {brief(clicks)}.")
    edges: tuple[float, float, float, float] | None = None
    if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)):
        left, top, width, height = map(float, box)
        edges = (left, top, width, height)
    elif box is not None or not clicks:
        raise AnnotationError(f"a prompt needs clicks, or a box [left, top, width, height], found {brief(value)}.")
    return Prompt(tuple((float(x), float(y), is_on) for x, y, is_on in clicks), edges)


def _is_click(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(is_number, value[:2])) and type(value[2]) is bool
