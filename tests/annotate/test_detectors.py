"""Detectors of torchvision by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from tavlo_pl.annotate.detectors import TorchvisionDetector, make_detector
from tavlo_pl.errors import CheckpointError, ConfigError

FRAME = np.zeros((48, 64, 3), np.uint8)
SMALL = "ssdlite320_mobilenet_v3_large"


class Fixed(torch.nn.Module):
    """Three detections; the mask of the second is empty."""

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        masks = torch.zeros(3, 1, 48, 64)
        masks[0, 0, 10:20, 5:30], masks[2, 0, 1:3, 2:4] = 0.9, 0.6
        boxes = torch.tensor([[5.0, 10, 30, 20], [0, 0, 9, 9], [2, 1, 4, 3]])
        return [
            {
                "scores": torch.tensor([0.4, 0.6, 0.8]),
                "labels": torch.tensor([1, 2, 18]),
                "boxes": boxes,
                "masks": masks,
            }
        ]


def test_masks_become_instances_by_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "get_model", lambda *args, **options: Fixed())
    first, second = TorchvisionDetector("maskrcnn_resnet50_fpn", "none", 0.3, 20).detect(FRAME)
    assert (first.instance.category, first.provenance.score) == ("dog", 0.8)
    assert (second.instance.category, second.instance.bbox) == ("person", (5, 10, 25, 10))
    assert second.instance.raster((48, 64), (1, 1)).sum() == 250
    assert first.provenance.by == "maskrcnn_resnet50_fpn" and first.status == "proposed"
    assert len(TorchvisionDetector("maskrcnn_resnet50_fpn", "none", 0.5, 20).detect(FRAME)) == 1
    assert len(TorchvisionDetector("maskrcnn_resnet50_fpn", "none", 0.3, 1).detect(FRAME)) == 1


@pytest.mark.slow  # it makes three networks
def test_models_without_masks_propose_boxes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = TorchvisionDetector(SMALL, "none", 0.0, 3)
    found = detector.detect(FRAME)
    assert len(found) == 3 and all(each.instance.bbox and each.instance.rle is None for each in found)
    torch.save(detector.model.state_dict(), tmp_path / "ssd.pth")
    again = TorchvisionDetector(SMALL, str(tmp_path / "ssd.pth"), 0.0, 3).detect(FRAME)
    assert [each.instance for each in again] == [each.instance for each in found]
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not the weights of ssdlite320"):
        TorchvisionDetector(SMALL, str(tmp_path / "other.pth"), 0.0, 3)


def test_unknown_names_and_files_are_refused() -> None:
    assert make_detector("none", "none", 0.3, 20).detect(FRAME) == []
    with pytest.raises(ConfigError, match="did you mean maskrcnn_resnet50_fpn"):
        make_detector("maskrcnn_resnet50", "none", 0.3, 20)
    with pytest.raises(CheckpointError, match="no such file of weights"):
        make_detector(SMALL, "nowhere.pth", 0.3, 20)
