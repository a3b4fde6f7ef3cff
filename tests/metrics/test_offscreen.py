import numpy as np
import pytest
import torch

from tavlo_pl.metrics.functional.offscreen import pia, pia_auc, true_negative_share


def test_true_negatives_lie_strictly_below_and_pia_is_the_rest() -> None:
    maps = torch.tensor([[[0.5, 0.2], [0.1, 0.7]], [[0.5, 0.5], [0.5, 0.5]]])
    assert true_negative_share(maps, 0.5, size=(2, 2)).tolist() == [0.5, 0.0]
    assert pia(maps, 0.5, size=(2, 2)).tolist() == [0.5, 1.0]


def test_the_area_is_one_where_no_map_lights_up() -> None:
    assert pia_auc(np.zeros(5)) == pytest.approx(1.0)
    assert pia_auc(np.ones(5)) == pytest.approx(0.025)
    assert pia_auc(np.array([0.0, 0.5])) == pytest.approx((1.0 + 0.525) / 2)
