"""Detectors that propose instances in a frame, behind one interface."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision import models

from tavlo_pl.annotate.frames import FrameInstance, Provenance, with_mask
from tavlo_pl.data.annotations import Instance
from tavlo_pl.errors import CheckpointError, ConfigError
from tavlo_pl.predict.checkpoint import read_checkpoint
from tavlo_pl.types import Scenario

NONE = "none"
MASK_FROM = 0.5
"""Probability from which on a pixel belongs to the mask of an instance."""


class Detector(Protocol):
    """Proposes instances in frames."""

    name: str

    def detect(self, frame: NDArray[np.uint8]) -> list[FrameInstance]:
        """The instances of an (H, W, 3) RGB frame, those with the highest scores first."""


class NoDetector:
    """Proposes nothing."""

    name = NONE

    def detect(self, frame: NDArray[np.uint8]) -> list[FrameInstance]:
        """An empty list."""
        del frame
        return []


class TorchvisionDetector:
    """A detection model of torchvision by name; models with masks propose masks, others boxes.

    Args:
        name: as in ``torchvision.models``: ``maskrcnn_resnet50_fpn``, for example.
        weights: path of released weights (``.pth`` or ``.safetensors``), ``download`` for those that torchvision
            downloads, or ``none`` for random ones.
        min_score: lowest score of a proposal.
        most: maximum number of proposals in a frame.

    Raises:
        ConfigError: torchvision has no detection model of that name.
        CheckpointError: the weights cannot be read or do not fit.
    """

    def __init__(self, name: str, weights: str, min_score: float, most: int) -> None:
        known = models.list_models(module=models.detection)
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are none, {', '.join(known)}"
            raise ConfigError(f"--detector {name}: torchvision has no such detection model; {hint}")
        self.name, self.min_score, self.most = name, min_score, most
        released = models.get_model_weights(name).DEFAULT
        self.categories: list[str] = released.meta["categories"]
        options: dict[str, Any] = {"weights": None, "weights_backbone": None, "num_classes": len(self.categories)}
        if weights == "download":
            options = {"weights": released}
        self.model = models.get_model(name, **options).eval()
        if weights not in (NONE, "download"):
            self._load(Path(weights))

    def _load(self, path: Path) -> None:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file of weights for --detector {self.name}")
        content = read_checkpoint(path)
        try:
            self.model.load_state_dict(content.get("state_dict", content))
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise CheckpointError(f"{path}: these are not the weights of {self.name} ({reason})") from error

    @torch.inference_mode()
    def detect(self, frame: NDArray[np.uint8]) -> list[FrameInstance]:
        """See `Detector`."""
        image = torch.from_numpy(frame.copy()).permute(2, 0, 1).float() / 255
        (found,) = self.model([image])
        instances: list[FrameInstance] = []
        for number in found["scores"].argsort(descending=True).tolist():
            score = float(found["scores"][number])
            if score < self.min_score or len(instances) == self.most:
                break
            instance = self._instance(found, number)
            if instance is not None:
                provenance = Provenance(self.name, round(score, 4))
                instances.append(FrameInstance(f"d{len(instances)}", instance, "proposed", provenance))
        return instances

    def _instance(self, found: dict[str, torch.Tensor], number: int) -> Instance | None:
        """One detection; None if its mask or box is empty."""
        left, top, right, bottom = found["boxes"][number].tolist()
        box = (left, top, right - left, bottom - top)
        if min(box[2:]) < 1:
            return None
        instance = Instance(self.categories[int(found["labels"][number])], Scenario.SINGLE_SOUND, bbox=box)
        if "masks" not in found:
            return instance
        mask = (found["masks"][number, 0] >= MASK_FROM).numpy()
        return with_mask(instance, mask) if mask.any() else None


def make_detector(name: str, weights: str, min_score: float, most: int) -> Detector:
    """Makes a detector by name; ``none`` proposes nothing. Arguments as for `TorchvisionDetector`."""
    return NoDetector() if name == NONE else TorchvisionDetector(name, weights, min_score, most)
