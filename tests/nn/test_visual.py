"""Visual encoders: shapes, receptive fields, and weights that cannot be downloaded."""

from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet18_Weights

from tavlo_pl.nn.visual import ResNet18, ShuffleNet, VisualEncoder


@pytest.mark.parametrize(("stride", "cells"), [(32, 7), (16, 14)])
def test_resnet18_has_cells_of_its_stride(stride: int, cells: int) -> None:
    encoder = ResNet18(weights="none", stride=stride).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        assert encoder(torch.zeros(1, 3, 224, 224, dtype=torch.uint8)).shape == (1, 512, cells, cells)


def test_resnet18_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in ResNet18(weights="none").parameters()) == 11_176_512


def test_failed_download_logs_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def offline(self: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", offline)
    ResNet18(weights="imagenet")
    assert "starts from random weights" in caplog.text and "no network" in caplog.text


@pytest.mark.parametrize("encoder", [ShuffleNet(), ResNet18("none", stride=16), ResNet18("none", stride=32)])
def test_receptive_field_is_centred_on_its_cell(encoder: VisualEncoder) -> None:
    """The centre of the receptive field, from the gradient with positive weights, is the centre of the cell."""
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
    reached = pixels.grad.abs().sum((0, 1, 2))
    middle = (reached * torch.arange(side)).sum() / reached.sum()
    assert abs(middle.item() - (encoder.stride * (cell + 0.5) - 0.5)) <= 1.0
