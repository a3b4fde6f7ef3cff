"""Visual encoders: shapes, and what happens when weights cannot be fetched."""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet18_Weights

from tavlo_pl.nn.visual import ResNet18, ShuffleNet, VisualEncoder


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


@pytest.mark.parametrize("encoder", [ShuffleNet(), ResNet18("none", stride=16), ResNet18("none", stride=32)])
def test_a_cell_looks_at_the_middle_of_its_square(encoder: VisualEncoder) -> None:
    """The centre of what a cell sees, by gradient through positive weights, against the centre of the cell."""
    torch.manual_seed(0)
    encoder.double().eval()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 1 / module.weight[0].numel())
        elif isinstance(module, torch.nn.MaxPool2d):
            module.register_forward_hook(lambda pool, args, _: torch.nn.functional.avg_pool2d(args[0], 3, 2, 1))
    side, cell = encoder.stride * 16, 8
    pixels = torch.full((1, 3, side, side), 200.0, dtype=torch.double, requires_grad=True)
    encoder(pixels)[0, :, cell, cell].sum().backward()
    assert pixels.grad is not None
    seen = pixels.grad.abs().sum((0, 1, 2))
    middle = (seen * torch.arange(side)).sum() / seen.sum()
    assert abs(middle.item() - (encoder.stride * (cell + 0.5) - 0.5)) <= 1.0
