"""Visual encoders: shapes, and what happens when weights cannot be fetched."""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet18_Weights

from tavlo_pl.nn.visual import ResNet18


@pytest.mark.parametrize(("stride", "cells"), [(32, 7), (16, 14)])
def test_resnet18_cells(stride: int, cells: int) -> None:
    encoder = ResNet18(weights="none", stride=stride).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 224, 224, dtype=torch.uint8)).shape == (1, 512, cells, cells)


def test_resnet18_has_the_parameters_of_the_published_backbone() -> None:
    assert sum(p.numel() for p in ResNet18(weights="none").parameters()) == 11_176_512


def test_missing_weights_are_said_and_training_starts_from_scratch(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def offline(self: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", offline)
    ResNet18(weights="imagenet")
    assert "starts from scratch" in caplog.text and "no network" in caplog.text
