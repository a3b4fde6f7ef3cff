"""Position encodings differ between cells and between segments."""

import pytest
import torch

from tavlo_pl.nn.positions import PositionKind, SpatialEncoding, TemporalEncoding


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
@pytest.mark.parametrize(("width", "height", "columns"), [(32, 7, 7), (30, 12, 9), (64, 14, 14)])
def test_spatial_encoding_differs_between_cells(kind: PositionKind, width: int, height: int, columns: int) -> None:
    encoding = SpatialEncoding(width, kind)(torch.zeros(1, width, height, columns))[0].flatten(1).T
    gaps = torch.cdist(encoding, encoding) + torch.eye(len(encoding))
    assert encoding.shape == (height * columns, width)
    assert gaps.min() > 1e-3


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_temporal_encoding_differs_between_segments(kind: PositionKind) -> None:
    encoding = TemporalEncoding(16, kind, segments=32)(32, torch.device("cpu"))
    assert encoding.shape == (32, 16)
    assert TemporalEncoding(16, kind, segments=8)(20, torch.device("cpu")).shape == (20, 16)
    assert (torch.cdist(encoding, encoding) + torch.eye(32)).min() > 1e-3
